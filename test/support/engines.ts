import { describe } from '@jest/globals';
import { openEngine } from '../../worker/engines/select.js';
import { engineNames } from '../../worker/engines/names.js';
import type { EngineName } from '../../worker/engines/names.js';

/** Why an engine does not start here, for those that do not. */
const absent = new Map<EngineName, string>();
for (const name of engineNames)
  await openEngine(name).catch((error: Error) => absent.set(name, error.message));

/** The engines that start here, fastest first. */
export const engines = engineNames.filter((name) => !absent.has(name));

/** Describes `body` for every engine, `%s` in the title being its name; one that does not start is shown as skipped. */
export function describeEngines(title: string, body: (name: EngineName) => void): void {
  describe.each(engines)(title, body);
  for (const [name, reason] of absent)
    describe.skip(`${title.replace('%s', name)} (does not start: ${reason})`, () => body(name));
}

/** SwiftShader takes about a second to compile the programs of a new set of shapes: such an engine tests fewer. */
export const isSlow = (name: EngineName) => name === 'webgpu';
