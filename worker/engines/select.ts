import { UnsupportedError } from '../../protocol/errors.js';
import type { Engine } from './engine.js';
import { eagerNames, engineChoices, engineNames } from './names.js';
import type { EagerName, EngineName } from './names.js';
import { openOnnx } from './onnx/open.js';
import type { OnnxTensor } from './onnx/tensor.js';
import { openTfjs } from './tfjs.js';
import type { TfjsTensor } from './tfjs.js';

export type EngineTensor = TfjsTensor | OnnxTensor;

export interface EngineOptions {
  /** A folder for the graphs that a recording engine runs, as `.onnx` files. */
  dumpGraphs?: string | undefined;
}

type Open<T> = (options: EngineOptions) => Promise<Engine<T>>;

/** By name, even where another is faster. */
const eagerEngines: Record<EagerName, Open<TfjsTensor>> = {
  'tensorflow-gpu': () => openTfjs('tensorflow-gpu'),
  tensorflow: () => openTfjs('tensorflow'),
  webgpu: () => openTfjs('webgpu', { onCpu: true }),
  wasm: () => openTfjs('wasm'),
  cpu: () => openTfjs('cpu'),
};

const engines: Record<EngineName, Open<EngineTensor>> = {
  'onnx-cuda': (options) => openOnnx('onnx-cuda', options),
  onnx: (options) => openOnnx('onnx', options),
  'onnx-webgpu': (options) => openOnnx('onnx-webgpu', options),
  ...eagerEngines,
};

/** What `auto` tries, fastest first: a GPU of CUDA's through either library, native code, a GPU of any kind, the rest. */
const eagerOrder: readonly Open<TfjsTensor>[] = [
  eagerEngines['tensorflow-gpu'],
  eagerEngines.tensorflow,
  () => openTfjs('webgpu'),
  eagerEngines.wasm,
  eagerEngines.cpu,
];
const order: readonly Open<EngineTensor>[] = [
  engines['onnx-cuda'],
  engines['tensorflow-gpu'],
  engines.onnx,
  ...eagerOrder,
];

export interface OpenedEngine<T = EngineTensor> {
  engine: Engine<T>;
  /** Which engine was taken and why, for logs and reports. */
  reason: string;
}

/**
 * Opens the engine for this thread: the one named, or with `auto` the fastest that starts.
 * Throws `UnsupportedError` for an unknown name, or if the engine named does not start.
 */
export async function openEngine(choice: string, options: EngineOptions = {}): Promise<OpenedEngine> {
  if (choice === 'auto') return openFastest(order, options);
  const name = engineNames.find((known) => known === choice);
  if (name) return { engine: await engines[name](options), reason: `${name}: asked for` };
  throw new UnsupportedError(`unknown engine "${choice}"`, {
    hint: `use one of ${engineChoices.join(', ')}`,
    details: { engine: choice },
  });
}

/** The same for what is given as TensorFlow.js functions: `choice`, if that is an eager engine, else as with `auto`. */
export async function openEagerEngine(choice: string): Promise<OpenedEngine<TfjsTensor>> {
  const name = eagerNames.find((known) => known === choice);
  if (name) return { engine: await eagerEngines[name]({}), reason: `${name}: asked for` };
  const { engine, reason } = await openFastest(eagerOrder, {});
  return { engine, reason: `${reason}; a loss function of your own is computed by an eager engine` };
}

async function openFastest<T>(
  candidates: readonly Open<T>[],
  options: EngineOptions,
): Promise<OpenedEngine<T>> {
  const passed: string[] = [];
  for (const open of candidates) {
    try {
      const engine = await open(options);
      return {
        engine,
        reason: [`${engine.name}: the fastest engine that starts here`, ...passed].join('; '),
      };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (!passed.includes(why)) passed.push(why);
    }
  }
  throw new UnsupportedError(`no engine starts here: ${passed.join('; ')}`);
}
