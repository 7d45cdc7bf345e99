import { BadFileError, UnsupportedError } from '../../protocol/errors.js';
import { activations, denseSchema } from '../../protocol/model.js';
import type { Activation, DenseLayer, Loss, Network } from '../../protocol/model.js';
import { limits } from '../../protocol/names.js';
import type { TfjsLayer } from './tfjs-file.js';

export type Architecture = Pick<Network, 'input' | 'layers'>;

const supportedLayers = 'Dense, Activation, Dropout, Flatten, InputLayer';
const supportedActivations: readonly string[] = activations;

/** Which activation at the output a loss applies by itself, since it takes logits. */
const foldedInto = { softmax: 'softmaxCrossEntropy', sigmoid: 'sigmoidCrossEntropy' } as const;

/**
 * A Sequential's layers as ours, and `names[i]`, what tfjs calls layer i. A final softmax or sigmoid that belongs to
 * `loss` is dropped; Dropout does nothing outside training; Flatten is row-major, as a dataset's features are.
 * Throws `UnsupportedError` naming the layer.
 */
export function convertLayers(layers: readonly TfjsLayer[], loss: Loss): Architecture & { names: string[] } {
  const shape = inputShape(layers);
  let rank = shape.length;
  const dense: (Omit<DenseLayer, 'activation'> & { name: string; activation: string })[] = [];
  for (const layer of layers) {
    const { name } = layer.config;
    const refuse = (what: string, hint: string): never => {
      throw new UnsupportedError(`layer "${name}": ${what}`, { hint, details: { layer: name } });
    };
    switch (layer.class_name) {
      case 'InputLayer':
      case 'Dropout':
        break;
      case 'Flatten':
        if (rank > 1 && /first/i.test(JSON.stringify(option(layer, 'data_format', 'dataFormat') ?? '')))
          refuse('Flatten with channels first reorders the values', 'save the model with channels last');
        rank = 1;
        break;
      case 'Dense': {
        if (rank !== 1)
          refuse(`Dense on rows of shape [${shape.join(', ')}]`, 'put a Flatten layer in front of it');
        const parsed = denseSchema.omit({ activation: true }).safeParse({
          type: 'dense',
          units: option(layer, 'units'),
          useBias: option(layer, 'use_bias', 'useBias'),
        });
        if (!parsed.success)
          throw new BadFileError(`layer "${name}": ${parsed.error.issues[0]?.message}`, {
            details: { layer: name },
          });
        dense.push({ ...parsed.data, name, activation: activationOf(layer) });
        break;
      }
      case 'Activation': {
        const last = dense.at(-1);
        const activation = activationOf(layer);
        if (activation === 'linear') break;
        if (!last || last.activation !== 'linear')
          return refuse(
            last ? `a second activation after ${last.activation}` : 'an activation before the first Dense',
            'each Dense can be followed by one activation',
          );
        last.activation = activation;
        break;
      }
      default:
        refuse(`${layer.class_name} is not supported`, `supported layers: ${supportedLayers}`);
    }
  }
  const last = dense.at(-1);
  if (!last)
    throw new UnsupportedError('the model has no Dense layer', { hint: `supported: ${supportedLayers}` });
  last.activation = foldFinal(last.name, last.activation, loss);
  return {
    input: { width: shape.reduce((product, length) => product * length, 1) },
    layers: dense.map(({ name, activation, ...layer }) => ({
      ...layer,
      activation: known(name, activation),
    })),
    names: dense.map(({ name }) => name),
  };
}

function foldFinal(name: string, activation: string, loss: Loss): string {
  if (activation !== 'softmax' && activation !== 'sigmoid') return activation;
  if (foldedInto[activation] === loss) return 'linear';
  // A sigmoid that stays is an activation like any other, but not in front of a loss that takes logits.
  if (activation === 'sigmoid' && loss === 'squaredError') return activation;
  throw new UnsupportedError(
    `layer "${name}" ends the model in ${activation}, and the loss ${loss} would not be applied to what it was trained with`,
    {
      hint: `choose the loss ${foldedInto[activation]}, which contains the ${activation}`,
      details: { layer: name },
    },
  );
}

function known(layer: string, activation: string): Activation {
  const found = activations.find((name) => name === activation);
  if (found) return found;
  throw new UnsupportedError(`layer "${layer}": activation ${activation} is not supported here`, {
    hint: `supported activations: ${supportedActivations.join(', ')}, and softmax at the end`,
    details: { layer, activation },
  });
}

function activationOf(layer: TfjsLayer): string {
  const value = option(layer, 'activation') ?? 'linear';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Row shape from the first layer that tells one: tfjs and Keras 2 on any first layer, Keras 3 on its InputLayer. */
function inputShape(layers: readonly TfjsLayer[]): number[] {
  const [first] = layers;
  const shape = first && option(first, 'batch_input_shape', 'batchInputShape', 'batch_shape', 'batchShape');
  const row: unknown[] = Array.isArray(shape) ? shape.slice(1) : [];
  const lengths = row.filter((length): length is number => Number.isInteger(length) && Number(length) > 0);
  const width = lengths.reduce((product, length) => product * length, 1);
  if (lengths.length === 0 || lengths.length !== row.length || width > limits.features)
    throw new BadFileError(
      `the first layer tells no usable input shape: ${JSON.stringify(shape) ?? 'none given'}`,
      { hint: 'build the model with inputShape before saving it' },
    );
  return lengths;
}

function option(layer: TfjsLayer, ...names: string[]): unknown {
  return names.map((name) => layer.config[name]).find((value) => value !== undefined && value !== null);
}
