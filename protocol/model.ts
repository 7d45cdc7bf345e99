import { z } from 'zod';
import type { Manifest } from './dataset.js';
import { ShapeMismatchError } from './errors.js';
import { limits, nameSchema, sha256Schema } from './names.js';

export const activations = ['linear', 'relu', 'tanh', 'sigmoid', 'softplus'] as const;
export const losses = ['squaredError', 'softmaxCrossEntropy', 'sigmoidCrossEntropy'] as const;

/** y = activation(x·W + b), W of shape inputs × units, as in tfjs. */
export const denseSchema = z.strictObject({
  type: z.literal('dense'),
  units: z.int().min(1).max(limits.features),
  useBias: z.boolean().default(true),
  activation: z.enum(activations).default('linear'),
});

/** What a user writes to `ihvp model create`: data, never code. */
export const networkSchema = z.strictObject({
  input: z.strictObject({ width: z.int().min(1).max(limits.features) }),
  layers: z
    .array(z.discriminatedUnion('type', [denseSchema]))
    .min(1)
    .max(limits.layers),
  /**
   * Per-row loss ℓ of the last layer's output ŷ and the label. `squaredError`: Σⱼ(ŷⱼ − yⱼ)². The cross-entropies take
   * ŷ as logits: `softmaxCrossEntropy` with a class id, `sigmoidCrossEntropy` with 0/1 (class id or real) per output.
   */
  loss: z.enum(losses),
  /** Regularisation: the objective is mean ℓ + (l2/2)·‖θ‖², so the Hessian gains l2·I. */
  l2: z.number().min(0).default(0),
});

export const modelSchema = networkSchema.extend({
  format: z.literal('ihvp-model'),
  version: z.literal(1),
  name: nameSchema,
  parameters: z.strictObject({ count: z.int().min(1), sha256: sha256Schema }),
  created: z.iso.datetime(),
});

export type Activation = (typeof activations)[number];
export type Loss = (typeof losses)[number];
export type DenseLayer = z.infer<typeof denseSchema>;
export type Network = z.infer<typeof networkSchema>;
export type Model = z.infer<typeof modelSchema>;

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

/** Where each kernel and bias lies in θ: layer by layer, kernel (inputs × units) before bias (units). */
export function parameterLayout(network: Pick<Network, 'input' | 'layers'>): ParameterLayout {
  const slices: ParameterSlice[] = [];
  let count = 0;
  const add = (name: string, shape: number[]) => {
    const size = shape.reduce((product, length) => product * length, 1);
    slices.push({ name, shape, offset: count, size });
    count += size;
  };
  let inputs = network.input.width;
  for (const [index, layer] of network.layers.entries()) {
    add(`layer${index}/kernel`, [inputs, layer.units]);
    if (layer.useBias) add(`layer${index}/bias`, [layer.units]);
    inputs = layer.units;
  }
  return { slices, count };
}

/** The model without its name and parameters. */
export function networkOf({ input, layers, loss, l2 }: Model): Network {
  return { input, layers, loss, l2 };
}

/** Width of the network's output ŷ. */
export function outputWidth(network: Pick<Network, 'layers'>): number {
  return network.layers.at(-1)!.units;
}

/** Throws `ShapeMismatchError` unless the dataset's features and labels are what the network and its loss take. */
export function checkModelFitsDataset(model: Network & { name: string }, dataset: Manifest): void {
  const mismatch = (what: string, hint: string) => {
    throw new ShapeMismatchError(`model "${model.name}" does not fit dataset "${dataset.name}": ${what}`, {
      hint,
      details: { model: model.name, dataset: dataset.name },
    });
  };
  const { width } = dataset.features;
  if (model.input.width !== width)
    mismatch(
      `the model takes ${model.input.width} features a row, the dataset has ${width}`,
      'use a model made for this dataset, or import the dataset with the columns the model takes',
    );
  const outputs = outputWidth(model);
  const { labels } = dataset;
  if (model.loss === 'softmaxCrossEntropy') {
    if (labels.kind !== 'class')
      mismatch(
        'softmaxCrossEntropy takes class ids, the labels are real numbers',
        'import the dataset with class labels (--label-kind class), or choose another loss',
      );
    else if (labels.classes > outputs)
      mismatch(
        `the model has ${outputs} outputs, the dataset ${labels.classes} classes`,
        `give the last layer ${labels.classes} units`,
      );
    return;
  }
  if (labels.kind === 'class') {
    if (outputs !== 1 || (model.loss === 'sigmoidCrossEntropy' && labels.classes !== 2))
      mismatch(
        `${model.loss} takes class ids as one real output, with classes 0 and 1 for sigmoidCrossEntropy; ` +
          `the model has ${outputs} outputs and the dataset ${labels.classes} classes`,
        'use softmaxCrossEntropy for several classes',
      );
  } else if (labels.width !== outputs)
    mismatch(
      `the model has ${outputs} outputs, a label ${labels.width} values`,
      `give the last layer ${labels.width} units`,
    );
}
