import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BadFileError, NotFiniteError, ShapeMismatchError } from '../../protocol/errors.js';
import { parameterLayout } from '../../protocol/model.js';
import type { Architecture, Loss, ParameterSlice } from '../../protocol/model.js';
import { resolveLayers } from '../../protocol/shapes.js';
import type { ParameterArray } from '../../protocol/shapes.js';
import { namedByLayer } from './keras3-weights.js';
import { parseTfjsFile } from './tfjs-file.js';
import { convertLayers } from './tfjs-layers.js';
import { readWeights } from './tfjs-weights.js';
import type { Weight } from './tfjs-weights.js';

export interface ImportedModel {
  /** A `Network` but for the loss and the regularisation, which the user chooses. */
  network: Architecture;
  /** θ in the order of `parameterLayout(network)`. */
  parameters: Float32Array;
  /** What the user should know of the import: weights that were quantised. */
  notes: string[];
}

interface NamedWeight {
  name: string;
  weight: Weight;
}

/**
 * Reads a tfjs layers model, Sequential or functional, from tfjs or converted from Keras: `model.json` with its weight
 * files beside it. A final softmax (sigmoid) becomes part of the loss `softmaxCrossEntropy` (`sigmoidCrossEntropy`),
 * which takes logits; moving statistics of batch normalisation become part of the network.
 *
 * Throws `BadFileError` (not such a model, truncated), `UnsupportedError` (a layer, activation or type that we do not
 * do), `ForbiddenError` (weights outside the folder), `ShapeMismatchError`, `NotFiniteError`.
 */
export async function importTfjs(modelFile: string, options: { loss: Loss }): Promise<ImportedModel> {
  const text = await readFile(modelFile, 'utf8').catch((cause: unknown) => {
    throw new BadFileError(`${modelFile} cannot be read: ${(cause as Error).message}`, { cause });
  });
  const { layers, listed, weightsManifest } = parseTfjsFile(text, modelFile);
  const { weights: read, notes } = await readWeights(dirname(modelFile), weightsManifest);
  const weights = namedByLayer(read, listed);
  const { sources, ...network } = convertLayers(layers, options.loss, (layer, part) =>
    Array.from(finite(weightOf(weights, [`${layer}/${part}`]))),
  );

  const layout = parameterLayout(network);
  const wanted = resolveLayers(network).flatMap(({ parameters }, index) =>
    parameters.map(({ part }) =>
      (spellings[part] ?? [part]).map((spelling) => `${sources[index]}/${spelling}`),
    ),
  );
  // All shapes are checked before anything of the size that the layers claim is allocated.
  const found = layout.slices.map((slice, index) => checked(weightOf(weights, wanted[index]!), slice));
  const parameters = new Float32Array(layout.count);
  // tfjs keeps every array in the order that we do, row-major.
  for (const [index, slice] of layout.slices.entries()) parameters.set(found[index]!, slice.offset);
  return { network, parameters, notes };
}

/** Keras 3 has one name for the kernels of all convolutions. */
const spellings: Partial<Record<ParameterArray['part'], string[]>> = {
  depthwise_kernel: ['depthwise_kernel', 'kernel'],
};

/** Keras writes `dense/kernel`, `sequential/dense/kernel` or `dense/kernel:0`. */
function weightOf(
  weights: ReadonlyMap<string, Weight>,
  [wanted = '', ...alternatives]: readonly string[],
): NamedWeight {
  const found = [...weights]
    .map(([name, weight]) => ({ name, weight, plain: name.replace(/:\d+$/, '') }))
    .filter(({ plain }) => plain === wanted || plain.endsWith(`/${wanted}`));
  // The whole name decides where the end of another one is the same.
  const exact = found.filter(({ plain }) => plain === wanted);
  const [weight, ...others] = exact.length > 0 ? exact : found;
  if (!weight && alternatives.length > 0) return weightOf(weights, alternatives);
  if (!weight || others.length > 0)
    throw new BadFileError(
      `model.json has ${weight ? 'several float32 weights' : 'no float32 weight'} "${wanted}"`,
      {
        hint: 'save the model again, with its weights',
        details: { weight: wanted, weights: [...weights.keys()].slice(0, 20) },
      },
    );
  return weight;
}

function checked({ name, weight }: NamedWeight, slice: ParameterSlice): Float32Array {
  const { shape } = weight;
  if (shape.length !== slice.shape.length || shape.some((length, axis) => length !== slice.shape[axis]))
    throw new ShapeMismatchError(
      `weight "${name}" has shape [${shape.join(', ')}], its layer takes [${slice.shape.join(', ')}]`,
      { hint: 'model.json and its weights are not of the same model', details: { weight: name } },
    );
  return finite({ name, weight });
}

function finite({ name, weight: { values } }: NamedWeight): Float32Array {
  const index = values.findIndex((value) => !Number.isFinite(value));
  if (index >= 0)
    throw new NotFiniteError(`weight "${name}" is ${values[index]} at position ${index}`, {
      hint: 'the training that wrote this model diverged',
      details: { weight: name, index },
    });
  return values;
}
