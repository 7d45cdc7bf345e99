import { z } from 'zod';
import type { Manifest } from './dataset.js';
import { ShapeMismatchError } from './errors.js';
import { layerSchema, shapeSchema } from './layers.js';
import { limits, nameSchema, sha256Schema } from './names.js';
import { resolveLayers, sizeOf } from './shapes.js';

export { activations, type Activation } from './layers.js';

export const losses = ['squaredError', 'softmaxCrossEntropy', 'sigmoidCrossEntropy'] as const;

/** What a user writes to `ihvp model create`: data, never code. */
export const networkSchema = z.strictObject({
  /** The shape of one row. A dataset's features are its values, row-major. */
  input: z.strictObject({ shape: shapeSchema }),
  /** A graph in an order of computation: see `resolveLayers`. The last layer is the output. */
  layers: z.array(layerSchema).min(1).max(limits.layers),
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

export type Loss = (typeof losses)[number];
export type Network = z.infer<typeof networkSchema>;
export type Model = z.infer<typeof modelSchema>;
/** What decides shapes and parameters. */
export type Architecture = Pick<Network, 'input' | 'layers'>;

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

/**
 * Where each array lies in θ: layer by layer in the order of the list, `<layer>/kernel` before `<layer>/bias`. Throws
 * what `resolveLayers` throws.
 */
export function parameterLayout(network: Architecture): ParameterLayout {
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

/** Features of a row. */
export const inputWidth = ({ input }: Pick<Network, 'input'>) => sizeOf(input.shape);

/** Width of the network's output ŷ, its axes taken together. */
export function outputWidth(network: Architecture): number {
  return sizeOf(resolveLayers(network).at(-1)!.outputShape);
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
  if (inputWidth(model) !== width)
    mismatch(
      `the model takes ${inputWidth(model)} features a row, the dataset has ${width}`,
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
