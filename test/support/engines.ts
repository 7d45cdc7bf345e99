import { openEngine } from '../../worker/engines/select.js';
import { engineNames } from '../../worker/engines/names.js';
import type { EngineName } from '../../worker/engines/names.js';
import { testedEngines } from './tested-engines.js';

/** Why an engine does not start here, for those that do not. */
export const absent = new Map<EngineName, string>();
for (const name of engineNames)
  await openEngine(name).catch((error: Error) => absent.set(name, error.message));

/** The engines that are tested and start here. */
export const engines = testedEngines.filter((name) => !absent.has(name));
