import { UnsupportedError } from '../../protocol/errors.js';
import type { Engine } from './engine.js';
import { openTfjs, tfjsBackends } from './tfjs.js';
import type { TfjsTensor } from './tfjs.js';

export const engineChoices = ['auto', ...tfjsBackends] as const;
export type EngineChoice = (typeof engineChoices)[number];
export type EngineTensor = TfjsTensor;

export interface OpenedEngine {
  engine: Engine<EngineTensor>;
  /** Which engine was taken and why, for logs and reports. */
  reason: string;
}

/**
 * Opens the engine for this thread: the one named, or with `auto` the fastest that starts (wasm, else cpu).
 * Throws `UnsupportedError` for an unknown name, or if the engine named does not start.
 */
export async function openEngine(choice: string): Promise<OpenedEngine> {
  const backend = tfjsBackends.find((name) => name === choice);
  if (backend) return { engine: await openTfjs(backend), reason: `${backend}: asked for` };
  if (choice !== 'auto')
    throw new UnsupportedError(`unknown engine "${choice}"`, {
      hint: `use one of ${engineChoices.join(', ')}`,
      details: { engine: choice },
    });
  try {
    return { engine: await openTfjs('wasm'), reason: 'wasm: the fastest engine that starts here' };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { engine: await openTfjs('cpu'), reason: `cpu: ${why}` };
  }
}
