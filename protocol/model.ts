import { z } from 'zod';
import type { Manifest } from './dataset.js';
import { ShapeMismatchError } from './errors.js';
import { layerSchema, shapeSchema } from './layers.js';
import { limits, nameSchema, sha256Schema } from './names.js';
import { pluginLayout, pluginNetworkSchema, type PluginNetwork } from './plugin-model.js';
import { resolveLayers, sizeOf } from './shapes.js';

export { activations, type Activation } from './layers.js';

export const losses = [
  'squaredError',
  'huber',
  'softmaxCrossEntropy',
  'sigmoidCrossEntropy',
  'poisson',
] as const;

/** What a user writes to `ihvp model create`: data, never code. */
export const networkSchema = z.strictObject({
  /** The shape of one row. A dataset's features are its values, row-major. */
  input: z.strictObject({ shape: shapeSchema }),
  /** A graph in an order of computation: see `resolveLayers`. The last layer is the output. */
  layers: z.array(layerSchema).min(1).max(limits.layers),
  /**
   * Per-row loss ℓ of the last layer's output ŷ and the label y. `squaredError`: Σⱼ(ŷⱼ − yⱼ)². `huber`: Σⱼ h(ŷⱼ − yⱼ),
   * h(r) = r²/2 where |r| ≤ δ, else δ·(|r| − δ/2). The others take ŷ as logits: `softmaxCrossEntropy` with a class id
   * or a distribution over the outputs, `sigmoidCrossEntropy` with 0…1 per output, `poisson` with counts:
   * Σⱼ exp(ŷⱼ) − yⱼ·ŷⱼ. But for `softmaxCrossEntropy` a class id is taken as one real value.
   */
  loss: z.enum(losses),
  /** δ of `huber`; 1 where it is not given. */
  huberDelta: z.number().positive().optional(),
  /** Regularisation: the objective is mean ℓ + (l2/2)·‖θ‖², so the Hessian gains l2·I. */
  l2: z.number().min(0).default(0),
  /** `false`: l2 leaves out biases and all other parameters of one axis. */
  l2Biases: z.boolean().optional(),
});

/** Layers with a loss, or the user's own loss function. */
export const anyNetworkSchema = z.union([networkSchema, pluginNetworkSchema]);

const stored = {
  format: z.literal('ihvp-model'),
  version: z.literal(1),
  name: nameSchema,
  parameters: z.strictObject({ count: z.int().min(1), sha256: sha256Schema }),
  created: z.iso.datetime(),
};
export const modelSchema = z.union([networkSchema.extend(stored), pluginNetworkSchema.extend(stored)]);

export type Loss = (typeof losses)[number];
export type Network = z.infer<typeof networkSchema>;
export type AnyNetwork = Network | PluginNetwork;
export type Model = z.infer<typeof modelSchema>;
/** What decides shapes and parameters. */
export type Architecture = Pick<Network, 'input' | 'layers'>;

export const isPlugin = (network: AnyNetwork): network is PluginNetwork => 'plugin' in network;

/** One named array inside the flat parameter vector θ: `offset` counts values, the order is row-major. */
export interface ParameterSlice {
  name: string;
  shape: number[];
  offset: number;
  size: number;
}

export interface ParameterLayout {
  slices: ParameterSlice[];
  /** p, the length of θ. */
  count: number;
}

/** What says which parameters there are. */
export type Parameterised = Architecture | Pick<PluginNetwork, 'plugin'>;

/**
 * Where each array lies in θ: layer by layer in the order of the list, `<layer>/kernel` before `<layer>/bias`; for a
 * plugin its arrays in their order. Throws what `resolveLayers` throws.
 */
export function parameterLayout(network: Parameterised): ParameterLayout {
  if ('plugin' in network) return pluginLayout(network.plugin);
  const slices: ParameterSlice[] = [];
  let count = 0;
  for (const { name, parameters } of resolveLayers(network))
    for (const { part, shape } of parameters) {
      const size = sizeOf(shape);
      slices.push({ name: `${name}/${part}`, shape, offset: count, size });
      count += size;
    }
  return { slices, count };
}

/** The model without its name and parameters. */
export function networkOf(model: Model): AnyNetwork {
  const { input, l2, l2Biases } = model;
  if ('plugin' in model) return { input, plugin: model.plugin, l2, l2Biases };
  const { layers, loss, huberDelta } = model;
  return { input, layers, loss, huberDelta, l2, l2Biases };
}

/** The coefficient of ‖·‖²/2 in the objective for the parameters of one slice. */
export function l2OfSlice({ l2, l2Biases }: Pick<Network, 'l2' | 'l2Biases'>, { shape }: ParameterSlice) {
  return l2Biases === false && shape.length < 2 ? 0 : l2;
}

/** `l2OfSlice` of each parameter, p values: the diagonal that the Hessian gains. */
export function l2Diagonal(network: AnyNetwork): Float64Array {
  const { slices, count } = parameterLayout(network);
  const diagonal = new Float64Array(count);
  for (const slice of slices)
    diagonal.fill(l2OfSlice(network, slice), slice.offset, slice.offset + slice.size);
  return diagonal;
}

/** Features of a row. */
export const inputWidth = ({ input }: Pick<Network, 'input'>) => sizeOf(input.shape);

/** Width of the network's output ŷ, its axes taken together. */
export function outputWidth(network: Architecture): number {
  return sizeOf(resolveLayers(network).at(-1)!.outputShape);
}

/** Throws `ShapeMismatchError` unless the dataset's features and labels are what the network and its loss take. */
export function checkModelFitsDataset(model: AnyNetwork & { name: string }, dataset: Manifest): void {
  const mismatch = (what: string, hint: string) => {
    throw new ShapeMismatchError(`model "${model.name}" does not fit dataset "${dataset.name}": ${what}`, {
      hint,
      details: { model: model.name, dataset: dataset.name },
    });
  };
  const { width } = dataset.features;
  if (inputWidth(model) !== width)
    mismatch(
      `the model takes ${inputWidth(model)} features a row, the dataset has ${width}`,
      'use a model made for this dataset, or import the dataset with the columns the model takes',
    );
  if (isPlugin(model)) return;
  const outputs = outputWidth(model);
  const { labels } = dataset;
  if (labels.kind === 'class' && model.loss === 'softmaxCrossEntropy') {
    if (labels.classes > outputs)
      mismatch(
        `the model has ${outputs} outputs, the dataset ${labels.classes} classes`,
        `give the last layer ${labels.classes} units`,
      );
  } else if (labels.kind === 'class') {
    if (outputs !== 1 || (model.loss === 'sigmoidCrossEntropy' && labels.classes !== 2))
      mismatch(
        `${model.loss} takes class ids as one real output, with classes 0 and 1 for sigmoidCrossEntropy; ` +
          `the model has ${outputs} outputs and the dataset ${labels.classes} classes`,
        'use softmaxCrossEntropy for several classes',
      );
  } else if (labels.width !== outputs)
    mismatch(
      `the model has ${outputs} outputs, a label ${labels.width} values`,
      model.loss === 'softmaxCrossEntropy'
        ? `import the dataset with class labels (--label-kind class), or with a distribution of ${outputs} values a row`
        : `give the last layer ${labels.width} units`,
    );
}
