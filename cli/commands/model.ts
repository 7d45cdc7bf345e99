import { readFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { BadFileError, BadRequestError, NotFiniteError, ShapeMismatchError } from '../../protocol/errors.js';
import {
  isPlugin,
  losses,
  networkSchema,
  parameterLayout,
  type AnyNetwork,
  type Loss,
  type Model,
} from '../../protocol/model.js';
import { nameSchema } from '../../protocol/names.js';
import { parseJson, parseValue } from '../../protocol/parse.js';
import { importTfjs } from '../../worker/models/import-tfjs.js';
import { glorotUniformParameters, zeroParameters } from '../../worker/models/initialise.js';
import {
  command,
  parseInteger,
  parseNotNegative,
  parsePositive,
  withClient,
  type FarmOptions,
} from '../options.js';
import { describePlugin, type PluginOptions } from '../plugin-network.js';
import { run } from '../terminal/fail.js';
import { formatNumber } from '../terminal/format.js';
import { print, table } from '../terminal/output.js';
import { readVectors } from '../vector-file.js';

interface LossOptions extends FarmOptions {
  loss?: Loss;
  huberDelta?: number;
  l2: number;
  l2Biases: boolean;
  replace?: boolean;
}

interface CreateOptions extends LossOptions, PluginOptions {
  description?: string;
  layers?: string;
  activation: string;
  bias: boolean;
  init: 'zeros' | 'glorot';
  parameters?: string;
  seed: number;
}

const lossOption = () => new Option('--loss <name>', 'the loss of a row').choices([...losses]);

/** The options of the objective but for the loss itself. */
const addObjectiveOptions = (command: Command) =>
  command
    .option('--huber-delta <number>', 'δ of the loss huber (1)', parsePositive)
    .option('--l2 <number>', 'regularisation: the objective gains (l2/2)·‖θ‖²', parseNotNegative, 0)
    .option('--no-l2-biases', 'l2 leaves out biases and all other parameters of one axis');

/** The objective as a model describes it; what is as usual is not said. */
const objective = ({ loss, huberDelta, l2, l2Biases }: LossOptions) => ({
  loss,
  l2,
  ...(huberDelta !== undefined && { huberDelta }),
  ...(!l2Biases && { l2Biases }),
});

export function addModelCommands(program: Command): void {
  const model = program.command('model').description('create, import, list, show and remove models');

  addObjectiveOptions(
    command(
      model,
      'create <name>',
      'make a model from a description',
      'ihvp model create softmax --layers 784-10 --loss softmaxCrossEntropy --l2 0.01',
    ),
  )
    .option('--layers <widths>', 'widths of input and dense layers, 784-256-10')
    .option('--activation <name>', 'activation of the hidden layers', 'tanh')
    .option('--no-bias', 'layers without bias')
    .addOption(
      new Option(
        '--description <file>',
        'a JSON file {input, layers, loss, l2} instead of these options',
      ).conflicts(['layers', 'activation', 'bias', 'loss', 'huberDelta', 'l2', 'l2Biases']),
    )
    .addOption(lossOption())
    .option('--plugin <file>', 'a loss function of your own, in the file that the workers were started with')
    .option('--objective <name>', 'which of its objectives, if it has several')
    .option('--width <n>', 'features of a row, with --plugin', parseInteger)
    .addOption(new Option('--init <how>', 'initial parameters').choices(['zeros', 'glorot']).default('zeros'))
    .addOption(
      new Option(
        '--parameters <file>',
        'parameters from an Arrow or .npy file, in the order of `ihvp model show`',
      ).conflicts(['init', 'seed']),
    )
    .option('--seed <n>', 'seed of --init glorot', parseInteger, 0)
    .option('--replace', 'replace a model of the same name')
    .action(
      run(async (name: string, options: CreateOptions) => {
        const network = await describe(options);
        const parameters = await initial(network, options);
        await store(name, network, parameters, options);
      }),
    );

  addObjectiveOptions(
    command(
      model,
      'import <name> <model.json>',
      'import a TensorFlow.js layers model',
      'ihvp model import mlp ./mlp/model.json --loss softmaxCrossEntropy --l2 1e-4',
    ),
  )
    .addOption(lossOption().makeOptionMandatory())
    .option('--replace', 'replace a model of the same name')
    .action(
      run(async (name: string, file: string, options: LossOptions) => {
        const loss = options.loss!;
        const { network, parameters, notes } = await importTfjs(file, { loss });
        for (const note of notes) process.stderr.write(`note: ${note}\n`);
        const complete = parseValue(networkSchema, { ...network, ...objective(options) }, 'the model');
        await store(name, complete, parameters, options);
      }),
    );

  command(model, 'list', 'the models of the farm', 'ihvp model list').action(
    run(async (options: FarmOptions) => {
      await withClient(options, async (client) => {
        const models = await (await client.models()).list();
        print(options, { models }, () => listing(models));
      });
    }),
  );

  command(
    model,
    'show <name>',
    'one model and where its parameters lie in the flat vector',
    'ihvp model show softmax',
  ).action(
    run(async (name: string, options: FarmOptions) => {
      await withClient(options, async (client) => {
        const found = await (await client.models()).get(name);
        const document = { ...found, layout: parameterLayout(found).slices };
        print(options, document, () => JSON.stringify(document, null, 2));
      });
    }),
  );

  command(model, 'rm <name>', 'remove a model', 'ihvp model rm softmax').action(
    run(async (name: string, options: FarmOptions) => {
      await withClient(options, async (client) => {
        await (await client.models()).remove(name);
        print(options, { removed: name }, () => `removed model ${name}`);
      });
    }),
  );
}

async function describe(options: CreateOptions): Promise<AnyNetwork> {
  const { description, plugin, layers, loss, activation, bias } = options;
  if (plugin !== undefined) return describePlugin(plugin, options);
  if (description !== undefined) {
    const text = await readFile(description, 'utf8').catch((cause: unknown) => {
      throw new BadFileError(`${description} cannot be read: ${(cause as Error).message}`, { cause });
    });
    return parseJson(networkSchema, text, description);
  }
  const widths = layers?.split('-').map(Number) ?? [];
  if (widths.length < 2 || !widths.every((width) => Number.isInteger(width) && width > 0))
    throw new BadRequestError(
      layers === undefined ? 'the layers are missing' : `"${layers}" is not the widths of input and layers`,
      { hint: 'say --layers 784-256-10, or --description FILE' },
    );
  const [width, ...units] = widths;
  const dense = units.map((count, i) => ({
    type: 'dense',
    units: count,
    useBias: bias,
    activation: i === units.length - 1 ? 'linear' : activation,
  }));
  if (!loss) throw new BadRequestError('the loss is missing', { hint: `say --loss ${losses.join(' | ')}` });
  return parseValue(
    networkSchema,
    { input: { shape: [width] }, layers: dense, ...objective(options) },
    'the model',
  );
}

async function initial(
  network: AnyNetwork,
  { parameters: file, init, seed }: CreateOptions,
): Promise<Float32Array> {
  if (file === undefined)
    return init === 'zeros' ? zeroParameters(network) : glorotUniformParameters(network, seed);
  const { values, count, size } = await readVectors(file);
  const wanted = parameterLayout(network).count;
  if (count !== 1 || size !== wanted)
    throw new ShapeMismatchError(
      `${file} holds ${count} vector(s) of ${size} values, the model has ${wanted} parameters`,
    );
  const parameters = Float32Array.from(values);
  if (!parameters.every(Number.isFinite))
    throw new NotFiniteError(`${file} holds a parameter that float32 cannot`, { details: { file } });
  return parameters;
}

async function store(
  name: string,
  network: AnyNetwork,
  parameters: Float32Array,
  options: LossOptions,
): Promise<void> {
  parseValue(nameSchema, name, `the model name "${name}"`);
  await withClient(options, async (client) => {
    const model = await (await client.models()).put({ ...network, name }, parameters, options.replace);
    print(options, model, () => sentence(model));
  });
}

function shapeText(model: Model): string {
  const input = model.input.shape.join('×');
  if (isPlugin(model)) return `${input} → ${model.plugin.name}`;
  const layers = model.layers.map((layer) => {
    const size = 'units' in layer ? layer.units : 'filters' in layer ? layer.filters : undefined;
    const kind = layer.type === 'dense' ? '' : layer.type;
    const activation = 'activation' in layer && layer.activation !== 'linear' ? layer.activation : '';
    return [kind, size, activation].filter((part) => part !== '' && part !== undefined).join(' ');
  });
  return [input, ...layers].join(' → ');
}

const lossText = (model: Model) => (isPlugin(model) ? 'a function of your own' : model.loss);

function sentence(model: Model): string {
  return `${model.name}: ${shapeText(model)}, ${lossText(model)}, l2 ${model.l2}${model.l2Biases === false ? ' without biases' : ''}, ${formatNumber(model.parameters.count)} parameters`;
}

function listing(models: Model[]): string {
  if (models.length === 0)
    return 'no models yet: ihvp model create softmax --layers 784-10 --loss softmaxCrossEntropy';
  return table(
    [
      { title: 'name' },
      { title: 'layers' },
      { title: 'loss' },
      { title: 'l2', align: 'right' },
      { title: 'parameters', align: 'right' },
    ],
    models.map((model) => [
      model.name,
      shapeText(model),
      lossText(model),
      String(model.l2),
      formatNumber(model.parameters.count),
    ]),
  );
}
