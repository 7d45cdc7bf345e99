import { BadRequestError, ShapeMismatchError, TooLargeError } from './errors.js';
import type { LayerDescription, LayerOf, Padding } from './layers.js';
import { limits } from './names.js';

/** A parameter array of a layer, and how it is meant to begin: see `worker/models/initialise.ts`. */
export interface ParameterArray {
  part: 'kernel' | 'depthwise_kernel' | 'pointwise_kernel' | 'bias' | 'gamma' | 'beta' | 'embeddings';
  shape: number[];
}

/** A layer at its place in the network. */
export interface ResolvedLayer {
  name: string;
  layer: LayerDescription;
  /** Indices of the layers whose outputs it takes; −1 is the network's input. */
  inputs: number[];
  /** Shapes of one row. */
  inputShapes: number[][];
  outputShape: number[];
  parameters: ParameterArray[];
}

/** One axis of a convolution or pooling. */
export interface Window {
  output: number;
  /** Zeros in front of the axis; as many as the window needs are behind it. */
  before: number;
}

export const sizeOf = (shape: readonly number[]) => shape.reduce((product, length) => product * length, 1);

/** Places of a window along an axis, as TensorFlow counts them. `output` is below 1 where the window does not fit. */
export function windowOf(
  length: number,
  size: number,
  stride: number,
  dilation: number,
  padding: Padding,
): Window {
  const extent = (size - 1) * dilation + 1;
  if (padding === 'valid') return { output: Math.floor((length - extent) / stride) + 1, before: 0 };
  const output = Math.ceil(length / stride);
  return { output, before: Math.floor(Math.max((output - 1) * stride + extent - length, 0) / 2) };
}

/**
 * Names, inputs, shapes and parameters of all layers, in the order of the list, which is one of computation.
 * Throws `BadRequestError` for a name given twice, an input that is unknown or comes later (so there are no cycles) and
 * a layer that leads nowhere, `ShapeMismatchError` naming the layer that does not take what it is given, and
 * `TooLargeError`.
 */
export function resolveLayers(network: {
  input: { shape: readonly number[] };
  layers: readonly LayerDescription[];
}): ResolvedLayer[] {
  const resolved: ResolvedLayer[] = [];
  const names = network.layers.map(({ name }, index) => name ?? `layer${index}`);
  const indexOf = new Map([['input', -1]]);
  const used = new Set([network.layers.length - 1]);
  for (const [index, layer] of network.layers.entries()) {
    const name = names[index]!;
    if (indexOf.has(name))
      throw new BadRequestError(`two layers are named "${name}"`, {
        hint: '"input" is the network\'s input; every other name is given once',
        details: { layer: name },
      });
    const inputs = layer.inputs?.map((input) => indexOf.get(input) ?? unknownInput(name, input, names)) ?? [
      index - 1,
    ];
    for (const input of inputs) used.add(input);
    const inputShapes = inputs.map((input) =>
      input < 0 ? [...network.input.shape] : resolved[input]!.outputShape,
    );
    const { output, parameters = [] } = layerShapes(name, layer, inputShapes);
    for (const shape of [output, ...parameters.map((parameter) => parameter.shape)])
      if (sizeOf(shape) > limits.layerValues)
        throw new TooLargeError(`layer "${name}" has an array of shape [${shape.join(', ')}]`, {
          hint: `at most ${limits.layerValues} values are taken`,
          details: { layer: name, shape },
        });
    resolved.push({ name, layer, inputs, inputShapes, outputShape: output, parameters });
    indexOf.set(name, index);
  }
  const idle = names.find((_, index) => !used.has(index));
  if (idle !== undefined)
    throw new BadRequestError(`layer "${idle}" leads nowhere: no other layer takes its output`, {
      hint: 'the last layer of the list is the output; remove layers that it does not depend on',
      details: { layer: idle },
    });
  if (!resolved.some(({ parameters }) => parameters.length > 0))
    throw new BadRequestError('the network has no parameters');
  return resolved;
}

function unknownInput(layer: string, input: string, names: readonly string[]): never {
  throw new BadRequestError(
    names.includes(input)
      ? `layer "${layer}" takes the output of "${input}", which does not come before it`
      : `layer "${layer}" takes the output of "${input}", which there is not`,
    { hint: 'list every layer after the layers it takes its inputs from', details: { layer, input } },
  );
}

interface LayerShapes {
  output: number[];
  parameters?: ParameterArray[];
}

function layerShapes(name: string, layer: LayerDescription, inputs: readonly number[][]): LayerShapes {
  const mismatch = (what: string): never => {
    throw new ShapeMismatchError(`layer "${name}" (${layer.type}) ${what}`, {
      details: { layer: name, inputs },
    });
  };
  const shown = inputs.map((shape) => `[${shape.join(', ')}]`).join(' and ');
  const merges = layer.type === 'add' || layer.type === 'multiply' || layer.type === 'concatenate';
  const most = layer.type === 'multiply' ? 2 : merges ? Infinity : 1;
  if (inputs.length > most || (merges && inputs.length < 2))
    mismatch(
      `takes ${merges ? `two${most > 2 ? ' or more' : ''} inputs` : 'one input'}, not ${inputs.length}`,
    );
  const input = inputs[0]!;
  const channels = input.at(-1)!;
  const ofRank = (rank: number) =>
    input.length === rank || mismatch(`takes rows of ${rank} axes, not ${shown}`);
  const spatial = (
    size: readonly number[],
    strides: readonly number[],
    dilation: readonly number[],
    kind: Padding,
  ) => {
    ofRank(size.length + 1);
    if (strides.some((stride) => stride > 1) && dilation.some((step) => step > 1))
      mismatch('has both strides and dilation above 1');
    return size.map((extent, axis) => {
      const { output } = windowOf(input[axis]!, extent, strides[axis]!, dilation[axis]!, kind);
      return output >= 1 ? output : mismatch(`has a window that does not fit into ${shown}`);
    });
  };
  const bias = (has: boolean, length: number): ParameterArray[] =>
    has ? [{ part: 'bias', shape: [length] }] : [];
  const affine = ({
    scale,
    center,
  }: LayerOf<'batchNormalization' | 'layerNormalization'>): ParameterArray[] => [
    ...(scale ? [{ part: 'gamma' as const, shape: [channels] }] : []),
    ...(center ? [{ part: 'beta' as const, shape: [channels] }] : []),
  ];

  switch (layer.type) {
    case 'dense':
      return {
        output: [...input.slice(0, -1), layer.units],
        parameters: [{ part: 'kernel', shape: [channels, layer.units] }, ...bias(layer.useBias, layer.units)],
      };
    case 'conv1d':
    case 'conv2d': {
      const { size, strides, dilation } = windowOptions(layer);
      return {
        output: [...spatial(size, strides, dilation, layer.padding), layer.filters],
        parameters: [
          { part: 'kernel', shape: [...size, channels, layer.filters] },
          ...bias(layer.useBias, layer.filters),
        ],
      };
    }
    case 'depthwiseConv2d':
    case 'separableConv2d': {
      const { kernelSize, strides, dilation, depthMultiplier } = layer;
      const between = channels * depthMultiplier;
      const outputs = layer.type === 'depthwiseConv2d' ? between : layer.filters;
      const depthwise: ParameterArray = {
        part: 'depthwise_kernel',
        shape: [...kernelSize, channels, depthMultiplier],
      };
      const pointwise: ParameterArray = { part: 'pointwise_kernel', shape: [1, 1, between, outputs] };
      return {
        output: [...spatial(kernelSize, strides, dilation, layer.padding), outputs],
        parameters: [
          depthwise,
          ...(layer.type === 'separableConv2d' ? [pointwise] : []),
          ...bias(layer.useBias, outputs),
        ],
      };
    }
    case 'maxPooling1d':
    case 'maxPooling2d':
    case 'averagePooling1d':
    case 'averagePooling2d': {
      const { size, strides, dilation } = windowOptions(layer);
      return { output: [...spatial(size, strides, dilation, layer.padding), channels] };
    }
    case 'globalMaxPooling1d':
    case 'globalAveragePooling1d':
      ofRank(2);
      return { output: [...(layer.keepDims ? [1] : []), channels] };
    case 'globalMaxPooling2d':
    case 'globalAveragePooling2d':
      ofRank(3);
      return { output: [...(layer.keepDims ? [1, 1] : []), channels] };
    case 'flatten':
      return { output: [sizeOf(input)] };
    case 'reshape':
      return {
        output:
          reshaped(layer.shape, input) ?? mismatch(`cannot make [${layer.shape.join(', ')}] of ${shown}`),
      };
    case 'zeroPadding2d':
      ofRank(3);
      return {
        output: [...layer.padding.map(([before, after], axis) => before + input[axis]! + after), channels],
      };
    case 'upSampling2d':
      ofRank(3);
      return { output: [...layer.size.map((factor, axis) => factor * input[axis]!), channels] };
    case 'batchNormalization':
      if (layer.mean.length !== channels || layer.variance.length !== channels)
        mismatch(
          `has ${layer.mean.length} means and ${layer.variance.length} variances for ${channels} channels`,
        );
      if (layer.variance.some((variance) => variance < 0)) mismatch('has a negative variance');
      return { output: input, parameters: affine(layer) };
    case 'layerNormalization':
      return { output: input, parameters: affine(layer) };
    case 'dropout':
    case 'activation':
      return { output: input };
    case 'embedding':
      return {
        output: [...input, layer.units],
        parameters: [{ part: 'embeddings', shape: [layer.vocabulary, layer.units] }],
      };
    case 'add':
    case 'multiply':
      if (inputs.some((shape) => shape.join() !== input.join())) mismatch(`takes equal shapes, not ${shown}`);
      return { output: input };
    case 'concatenate': {
      const axis = layer.axis < 0 ? input.length + layer.axis : layer.axis;
      const others = (shape: readonly number[]) => shape.map((length, i) => (i === axis ? 0 : length)).join();
      if (axis < 0 || axis >= input.length || inputs.some((shape) => others(shape) !== others(input)))
        mismatch(`takes shapes that are equal but for axis ${layer.axis}, not ${shown}`);
      const total = inputs.reduce((sum, shape) => sum + shape[axis]!, 0);
      return { output: input.map((length, i) => (i === axis ? total : length)) };
    }
  }
}

/** The shape with its −1, of which there is at most one, filled in; undefined where the sizes do not agree. */
function reshaped(shape: readonly number[], input: readonly number[]): number[] | undefined {
  const left = sizeOf(input) / sizeOf(shape.filter((length) => length > 0));
  const filled = shape.map((length) => (length > 0 ? length : left));
  return Number.isInteger(left) && sizeOf(filled) === sizeOf(input) ? filled : undefined;
}

/** Window, strides and dilation of each spatial axis. */
export function windowOptions(
  layer: LayerOf<
    | 'conv1d'
    | 'conv2d'
    | 'depthwiseConv2d'
    | 'separableConv2d'
    | 'maxPooling1d'
    | 'maxPooling2d'
    | 'averagePooling1d'
    | 'averagePooling2d'
  >,
): { size: number[]; strides: number[]; dilation: number[] } {
  const list = (value: number | readonly number[]) => (typeof value === 'number' ? [value] : [...value]);
  if ('poolSize' in layer) {
    const size = list(layer.poolSize);
    return { size, strides: list(layer.strides ?? layer.poolSize), dilation: size.map(() => 1) };
  }
  return { size: list(layer.kernelSize), strides: list(layer.strides), dilation: list(layer.dilation) };
}
