import { engineNames } from '../../worker/engines/names.js';

/**
 * What is tested on every engine. Not on `onnx-webgpu`, which on SwiftShader takes seconds for a graph of new shapes: the
 * same graphs are tested on `onnx`, and their operators on it in its own test.
 */
export const testedEngines = engineNames.filter((name) => name !== 'onnx-webgpu');

/** SwiftShader takes about a second to compile the programs of a new set of shapes: such an engine tests fewer. */
export const isSlow = (name: string) => name === 'webgpu';
