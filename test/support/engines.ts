import { describe } from '@jest/globals';
import { openEngine } from '../../worker/engines/select.js';
import { engineNames } from '../../worker/engines/names.js';
import type { EngineName } from '../../worker/engines/names.js';

/** Why an engine does not start here, for those that do not. */
export const absent = new Map<EngineName, string>();
for (const name of engineNames)
  await openEngine(name).catch((error: Error) => absent.set(name, error.message));

/**
 * The engines that start here. Not `onnx-webgpu`, which on SwiftShader takes seconds for a graph of new shapes: the same
 * graphs are tested on `onnx`, and their operators on it in its own test.
 */
export const engines = engineNames.filter((name) => !absent.has(name) && name !== 'onnx-webgpu');

/**
 * Describes `body` for every engine, or those `among`, `%s` in the title being its name; one that does not start is shown
 * as skipped.
 */
export function describeEngines(
  title: string,
  body: (name: EngineName) => void,
  among: readonly EngineName[] = engines,
): void {
  describe.each(among.filter((name) => !absent.has(name)))(title, body);
  for (const [name, reason] of absent)
    describe.skip(`${title.replace('%s', name)} (does not start: ${reason})`, () => body(name));
}

/** SwiftShader takes about a second to compile the programs of a new set of shapes: such an engine tests fewer. */
export const isSlow = (name: EngineName) => name === 'webgpu';
