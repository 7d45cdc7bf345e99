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
 * Opens the engine for this thread: the one named, or with `auto` the fastest that starts.
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
  const passed: string[] = [];
  for (const name of tfjsBackends) {
    try {
      const engine = await openTfjs(name);
      return { engine, reason: [`${name}: the fastest engine that starts here`, ...passed].join('; ') };
    } catch (error) {
      passed.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new UnsupportedError(`no engine starts here: ${passed.join('; ')}`);
}
