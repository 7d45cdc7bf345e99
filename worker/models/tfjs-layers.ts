import { BadFileError, UnsupportedError } from '../../protocol/errors.js';
import { layerSchema } from '../../protocol/layers.js';
import type { Activation, LayerDescription } from '../../protocol/layers.js';
import type { Architecture, Loss } from '../../protocol/model.js';
import { limits } from '../../protocol/names.js';
import { resolveLayers } from '../../protocol/shapes.js';
import { convertLayer, supportedLayers } from './tfjs-convert.js';
import type { ReadConstants } from './tfjs-convert.js';
import type { PlacedLayer } from './tfjs-file.js';
import { activationNames, option, refuse } from './tfjs-options.js';

/** Which activation at the output a loss applies by itself, since it takes logits. */
const foldedInto = { softmax: 'softmaxCrossEntropy', sigmoid: 'sigmoidCrossEntropy' } as const;

interface Draft {
  /** As tfjs calls the layer. */
  source: string;
  inputs: string[];
  name: string;
  activation: string | undefined;
  fields: Record<string, unknown>;
}

/**
 * The layers of a model as ours, and `sources`: for each of them what tfjs calls it. A final softmax or sigmoid that
 * belongs to `loss` is dropped, and so is what does nothing outside training. Throws `UnsupportedError` naming the
 * layer, and `BadFileError`.
 */
export function convertLayers(
  layers: readonly PlacedLayer[],
  loss: Loss,
  constants: ReadConstants,
): Architecture & { sources: string[] } {
  /** What stands for the output of a tfjs layer: one of our layers, or the input. */
  const standsFor = new Map<string, string>();
  const taken = new Set(['input']);
  const drafts: Draft[] = [];
  for (const { layer, inputs } of layers) {
    const source = layer.config.name;
    let from = inputs.map((input) => standsFor.get(input) ?? 'input');
    if (from.length === 0) from = ['input'];
    for (const { activation, ...fields } of convertLayer(layer, from.length, constants)) {
      if (fields.type === 'identity') continue;
      const name = freeName(source, taken);
      const [first, ...more] = from;
      // A product of many is one of two, times the next.
      if (fields.type === 'multiply' && more.length > 1) {
        let left = first!;
        for (const [i, right] of more.entries()) {
          const step = i === more.length - 1 ? name : freeName(source, taken);
          drafts.push({ source, inputs: [left, right], name: step, activation, fields });
          left = step;
        }
      } else drafts.push({ source, inputs: from, name, activation, fields });
      from = [name];
    }
    standsFor.set(source, from[0]!);
  }
  foldFinal(drafts, loss);
  if (drafts.length === 0)
    throw new UnsupportedError('the model has no layer that computes anything', {
      hint: `supported layers: ${supportedLayers.join(', ')}`,
    });
  const network = {
    input: { shape: inputShape(layers) },
    layers: drafts.map((draft, index) => finished(draft, drafts[index - 1]?.name ?? 'input')),
  };
  checkAxes(network, layers);
  return { ...network, sources: drafts.map(({ source }) => source) };
}

/** Normalisations are over the last axis; tfjs counts axes with that of the rows. */
function checkAxes(network: Architecture, layers: readonly PlacedLayer[]): void {
  const resolved = new Map(resolveLayers(network).map((layer) => [layer.name, layer]));
  for (const { layer } of layers) {
    if (layer.class_name !== 'BatchNormalization' && layer.class_name !== 'LayerNormalization') continue;
    const axes = [option(layer, 'axis') ?? -1].flat().map(Number);
    const rank = resolved.get(plainName(layer.config.name))?.inputShapes[0]!.length;
    if (axes.length !== 1 || (axes[0] !== -1 && axes[0] !== rank))
      refuse(layer, `${layer.class_name} over axis ${axes.join(', ')} is not supported`, 'the last axis is');
  }
}

const plainName = (source: string) => source.replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, 56) || 'layer';

function finished({ source, inputs, name, activation, fields }: Draft, before: string): LayerDescription {
  const parsed = layerSchema.safeParse({
    name,
    ...(inputs.length > 1 || inputs[0] !== before ? { inputs } : {}),
    ...(activation === undefined ? {} : { activation: known(source, activation) }),
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
  });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new BadFileError(`layer "${source}": ${issue?.path.join('.')}: ${issue?.message}`, {
    details: { layer: source },
  });
}

/** A name that we take, and that no other layer has. */
function freeName(source: string, taken: Set<string>): string {
  const plain = plainName(source);
  let name = plain;
  for (let i = 2; taken.has(name); i++) name = `${plain}_${i}`;
  taken.add(name);
  return name;
}

function foldFinal(drafts: Draft[], loss: Loss): void {
  const last = drafts.at(-1);
  const activation = last?.activation;
  if (!last || (activation !== 'softmax' && activation !== 'sigmoid')) return;
  if (foldedInto[activation] === loss) {
    if (last.fields.type === 'activation') drafts.pop();
    else last.activation = 'linear';
    return;
  }
  // A sigmoid that stays is an activation like any other, but not in front of a loss that takes logits.
  if (activation === 'sigmoid' && loss === 'squaredError') return;
  throw new UnsupportedError(
    `layer "${last.source}" ends the model in ${activation}, and the loss ${loss} would not be applied to what it was trained with`,
    {
      hint: `choose the loss ${foldedInto[activation]}, which contains the ${activation}`,
      details: { layer: last.source },
    },
  );
}

function known(layer: string, activation: string): Activation {
  const found =
    Object.values(activationNames).find((name) => name === activation) ?? activationNames[activation];
  if (found) return found;
  throw new UnsupportedError(`layer "${layer}": activation ${activation} is not supported here`, {
    hint: `supported activations: ${Object.keys(activationNames).join(', ')}, and softmax at the end`,
    details: { layer, activation },
  });
}

/** Row shape from the layer at the input: tfjs and Keras 2 tell it on any first layer, Keras 3 on its InputLayer. */
function inputShape(layers: readonly PlacedLayer[]): number[] {
  const first = layers.find(({ inputs }) => inputs.length === 0)?.layer;
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
