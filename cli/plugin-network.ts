import { BadRequestError } from '../protocol/errors.js';
import { pluginNetworkSchema, type PluginNetwork } from '../protocol/plugin-model.js';
import { parseValue } from '../protocol/parse.js';
import { loadPlugins } from '../worker/plugins/plugin-file.js';

export interface PluginOptions {
  plugin?: string;
  objective?: string;
  width?: number;
  l2: number;
  l2Biases: boolean;
}

/** The description of a loss function in a file: its name and its arrays of parameters. The file runs here. */
export async function describePlugin(file: string, options: PluginOptions): Promise<PluginNetwork> {
  const objectives = await loadPlugins([file]);
  const names = [...objectives.keys()];
  const name = options.objective ?? (names.length === 1 ? names[0] : undefined);
  const objective = name === undefined ? undefined : objectives.get(name);
  if (name === undefined || !objective)
    throw new BadRequestError(
      name === undefined ? `${file} has several objectives` : `${file} has no objective "${name}"`,
      { hint: `say --objective ${names.join(' | ')}` },
    );
  if (options.width === undefined)
    throw new BadRequestError('the number of features is missing', { hint: 'say --width 784' });
  const parameters = Object.entries(objective.parameters).map(([key, shape]) => ({ name: key, shape }));
  const description = {
    input: { shape: [options.width] },
    plugin: { name, parameters },
    l2: options.l2,
    ...(!options.l2Biases && { l2Biases: false }),
  };
  return parseValue(pluginNetworkSchema, description, 'the model');
}
