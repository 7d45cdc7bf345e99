import { UnsupportedError } from '../../protocol/errors.js';
import type { Engine } from './engine.js';
import { engineChoices, engineNames } from './names.js';
import type { EngineName } from './names.js';
import { openTfjs } from './tfjs.js';
import type { TfjsTensor } from './tfjs.js';

export type EngineTensor = TfjsTensor;

/** Starts an engine in this thread. `asked`: by name, and so not only where it is worth it. */
type Open = (asked: boolean) => Promise<Engine<EngineTensor>>;

const engines: Record<EngineName, Open> = {
  tensorflow: () => openTfjs('tensorflow'),
  webgpu: (asked) => openTfjs('webgpu', { onCpu: asked }),
  wasm: () => openTfjs('wasm'),
  cpu: () => openTfjs('cpu'),
};

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
  if (choice === 'auto') return openFastest();
  const name = engineNames.find((known) => known === choice);
  if (name) return { engine: await engines[name](true), reason: `${name}: asked for` };
  throw new UnsupportedError(`unknown engine "${choice}"`, {
    hint: `use one of ${engineChoices.join(', ')}`,
    details: { engine: choice },
  });
}

async function openFastest(): Promise<OpenedEngine> {
  const passed: string[] = [];
  for (const name of engineNames) {
    try {
      const engine = await engines[name](false);
      return { engine, reason: [`${name}: the fastest engine that starts here`, ...passed].join('; ') };
    } catch (error) {
      passed.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new UnsupportedError(`no engine starts here: ${passed.join('; ')}`);
}
