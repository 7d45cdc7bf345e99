import { UnsupportedError } from '../../protocol/errors.js';
import type { Engine } from './engine.js';
import { eagerNames, engineChoices, engineNames } from './names.js';
import type { EagerName, EngineName } from './names.js';
import { openOnnx } from './onnx/open.js';
import type { OnnxTensor } from './onnx/tensor.js';
import { openTfjs } from './tfjs.js';
import type { TfjsTensor } from './tfjs.js';

export type EngineTensor = TfjsTensor | OnnxTensor;

/** Starts an engine in this thread. `asked`: by name, and so not only where it is worth it. */
type Open<T> = (asked: boolean) => Promise<Engine<T>>;

const eagerEngines: Record<EagerName, Open<TfjsTensor>> = {
  tensorflow: () => openTfjs('tensorflow'),
  webgpu: (asked) => openTfjs('webgpu', { onCpu: asked }),
  wasm: () => openTfjs('wasm'),
  cpu: () => openTfjs('cpu'),
};

const engines: Record<EngineName, Open<EngineTensor>> = {
  onnx: () => openOnnx(),
  ...eagerEngines,
};

export interface OpenedEngine<T = EngineTensor> {
  engine: Engine<T>;
  /** Which engine was taken and why, for logs and reports. */
  reason: string;
}

/**
 * Opens the engine for this thread: the one named, or with `auto` the fastest that starts.
 * Throws `UnsupportedError` for an unknown name, or if the engine named does not start.
 */
export async function openEngine(choice: string): Promise<OpenedEngine> {
  if (choice === 'auto') return openFastest(engineNames, engines);
  const name = engineNames.find((known) => known === choice);
  if (name) return { engine: await engines[name](true), reason: `${name}: asked for` };
  throw new UnsupportedError(`unknown engine "${choice}"`, {
    hint: `use one of ${engineChoices.join(', ')}`,
    details: { engine: choice },
  });
}

/** The same for what is given as TensorFlow.js functions: `choice`, if that is an eager engine, else as with `auto`. */
export async function openEagerEngine(choice: string): Promise<OpenedEngine<TfjsTensor>> {
  const name = eagerNames.find((known) => known === choice);
  if (name) return { engine: await eagerEngines[name](true), reason: `${name}: asked for` };
  return openFastest(eagerNames, eagerEngines);
}

async function openFastest<N extends EngineName, T>(
  names: readonly N[],
  opens: Record<N, Open<T>>,
): Promise<OpenedEngine<T>> {
  const passed: string[] = [];
  for (const name of names) {
    try {
      const engine = await opens[name](false);
      return { engine, reason: [`${name}: the fastest engine that starts here`, ...passed].join('; ') };
    } catch (error) {
      passed.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new UnsupportedError(`no engine starts here: ${passed.join('; ')}`);
}
