import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BadFileError } from '../../protocol/errors.js';
import { nameSchema } from '../../protocol/names.js';
import { pluginSchema } from '../../protocol/plugin-model.js';
import { parseValue } from '../../protocol/parse.js';
import type { Loss, Objective } from './objective.js';

/**
 * Loads JavaScript modules (ES or CommonJS), each of whose exports is an objective `{ parameters, loss }`.
 * @throws BadFileError for a file that cannot be loaded, an export that is no objective, or a name used twice
 */
export async function loadPlugins(files: readonly string[]): Promise<Map<string, Objective>> {
  const objectives = new Map<string, Objective>();
  for (const file of files) {
    const exported = await importModule(file);
    for (const [name, value] of Object.entries(exported)) {
      if (name === 'default' || name === 'module.exports') continue;
      if (objectives.has(name)) throw new BadFileError(`${file}: there is an objective "${name}" already`);
      objectives.set(name, parseObjective(file, name, value));
    }
  }
  return objectives;
}

async function importModule(file: string): Promise<object> {
  try {
    return (await import(pathToFileURL(resolve(file)).href)) as object;
  } catch (cause) {
    throw new BadFileError(`the plugin ${file} cannot be loaded: ${(cause as Error).message}`, { cause });
  }
}

function parseObjective(file: string, name: string, value: unknown): Objective {
  const { parameters, loss } = (value ?? {}) as { parameters?: unknown; loss?: unknown };
  if (typeof loss !== 'function' || typeof parameters !== 'object' || parameters === null)
    throw new BadFileError(`${file}: the export "${name}" is no objective`, {
      hint: 'export const name = { parameters: { weight: [4] }, loss: (tf, parameters, features, labels) => … }',
    });
  parseValue(nameSchema, name, `the objective's name "${name}"`);
  const described = Object.entries(parameters).map(([key, shape]) => ({
    name: key,
    shape: shape as unknown,
  }));
  const plugin = parseValue(
    pluginSchema,
    { name, parameters: described },
    `${file}: the parameters of "${name}"`,
  );
  return {
    parameters: Object.fromEntries(plugin.parameters.map((entry) => [entry.name, entry.shape])),
    loss: loss as Loss,
  };
}
