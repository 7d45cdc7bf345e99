import type { TfjsLayer } from './tfjs-file.js';
import { activationOf, option, refuse } from './tfjs-options.js';

/** The fields of one of our layers, unchecked; `identity` does nothing. `activation` is still as tfjs calls it. */
export interface ConvertedLayer {
  type: string;
  activation?: string;
  [field: string]: unknown;
}

/** Values of a weight of a layer that is no parameter. */
export type ReadConstants = (layer: string, part: string) => number[];

type Convert = (layer: TfjsLayer, constants: ReadConstants) => ConvertedLayer[];

const identity: Convert = () => [{ type: 'identity' }];
const plain =
  (type: string): Convert =>
  () => [{ type }];

const bool = (layer: TfjsLayer, ...names: string[]) => option(layer, ...names) as boolean | undefined;
const numbers = (value: unknown) => (Array.isArray(value) ? (value as (number | null)[]) : value);
const single = (value: unknown) => (Array.isArray(value) ? (value as unknown[])[0] : value);
const double = (value: unknown) => (typeof value === 'number' ? [value, value] : numbers(value));

function channelsLast(layer: TfjsLayer): void {
  if (/first/i.test(JSON.stringify(option(layer, 'data_format', 'dataFormat') ?? '')))
    refuse(layer, 'channels first is not supported', 'save the model with channels last');
}

/** One of the options that change what a layer means, at a value that we do not do. */
function must(layer: TfjsLayer, holds: boolean, what: string): void {
  if (!holds) refuse(layer, `${layer.class_name} with ${what} is not supported`);
}

function padding(layer: TfjsLayer): unknown {
  channelsLast(layer);
  const kind = option(layer, 'padding') ?? 'valid';
  must(layer, kind === 'valid' || kind === 'same', `padding ${JSON.stringify(kind)}`);
  return kind;
}

const convolution =
  (type: string, axes: 1 | 2): Convert =>
  (layer) => {
    const lengths = axes === 1 ? single : double;
    must(layer, (option(layer, 'groups') ?? 1) === 1, 'groups');
    const units = type === 'depthwiseConv2d' ? {} : { filters: option(layer, 'filters') };
    const multiplier = { depthMultiplier: option(layer, 'depth_multiplier', 'depthMultiplier') };
    return [
      {
        type,
        ...units,
        ...(type === 'conv1d' || type === 'conv2d' ? {} : multiplier),
        kernelSize: lengths(option(layer, 'kernel_size', 'kernelSize')),
        strides: lengths(option(layer, 'strides')),
        dilation: lengths(option(layer, 'dilation_rate', 'dilationRate')),
        padding: padding(layer),
        useBias: bool(layer, 'use_bias', 'useBias'),
        activation: activationOf(layer),
      },
    ];
  };

const pooling =
  (type: string, axes: 1 | 2): Convert =>
  (layer) => {
    const lengths = axes === 1 ? single : double;
    const poolSize = lengths(option(layer, 'pool_size', 'poolSize'));
    return [{ type, poolSize, strides: lengths(option(layer, 'strides')), padding: padding(layer) }];
  };

const globalPooling =
  (type: string): Convert =>
  (layer) => {
    channelsLast(layer);
    return [{ type, keepDims: bool(layer, 'keepdims', 'keepDims') }];
  };

/** Normalisation over the last axis; `axis` counts the rows' axis, so that only −1 tells the last for certain. */
const affine = (layer: TfjsLayer) => ({
  epsilon: option(layer, 'epsilon'),
  scale: bool(layer, 'scale'),
  center: bool(layer, 'center'),
});
const axisOf = (layer: TfjsLayer) => Number(single(option(layer, 'axis') ?? -1));

const converters: Record<string, Convert> = {
  InputLayer: identity,
  Dropout: identity,
  SpatialDropout1D: identity,
  SpatialDropout2D: identity,
  AlphaDropout: identity,
  GaussianDropout: identity,
  GaussianNoise: identity,
  Dense: (layer) => [
    {
      type: 'dense',
      units: option(layer, 'units'),
      useBias: bool(layer, 'use_bias', 'useBias'),
      activation: activationOf(layer),
    },
  ],
  Conv1D: convolution('conv1d', 1),
  Conv2D: convolution('conv2d', 2),
  DepthwiseConv2D: convolution('depthwiseConv2d', 2),
  SeparableConv2D: convolution('separableConv2d', 2),
  MaxPooling1D: pooling('maxPooling1d', 1),
  MaxPooling2D: pooling('maxPooling2d', 2),
  AveragePooling1D: pooling('averagePooling1d', 1),
  AveragePooling2D: pooling('averagePooling2d', 2),
  GlobalMaxPooling1D: globalPooling('globalMaxPooling1d'),
  GlobalMaxPooling2D: globalPooling('globalMaxPooling2d'),
  GlobalAveragePooling1D: globalPooling('globalAveragePooling1d'),
  GlobalAveragePooling2D: globalPooling('globalAveragePooling2d'),
  Flatten(layer) {
    channelsLast(layer);
    return [{ type: 'flatten' }];
  },
  Reshape(layer) {
    const shape = numbers(option(layer, 'target_shape', 'targetShape'));
    // tfjs writes null for what is left.
    return [
      {
        type: 'reshape',
        shape: Array.isArray(shape) ? shape.map((length: number | null) => length ?? -1) : shape,
      },
    ];
  },
  ZeroPadding2D(layer) {
    channelsLast(layer);
    const given = option(layer, 'padding') ?? 1;
    const pair = double(given) as unknown[];
    return [{ type: 'zeroPadding2d', padding: pair.map(double) }];
  },
  UpSampling2D(layer) {
    channelsLast(layer);
    const interpolation = option(layer, 'interpolation') ?? 'nearest';
    must(layer, interpolation === 'nearest', `interpolation ${JSON.stringify(interpolation)}`);
    return [{ type: 'upSampling2d', size: double(option(layer, 'size')) }];
  },
  BatchNormalization(layer, constants) {
    const mean = constants(layer.config.name, 'moving_mean');
    const variance = constants(layer.config.name, 'moving_variance');
    return [{ type: 'batchNormalization', ...affine(layer), mean, variance }];
  },
  LayerNormalization(layer) {
    must(layer, option(layer, 'rms_scaling') !== true, 'rms_scaling');
    return [{ type: 'layerNormalization', ...affine(layer) }];
  },
  Embedding(layer) {
    must(layer, option(layer, 'mask_zero', 'maskZero') !== true, 'mask_zero');
    return [
      {
        type: 'embedding',
        vocabulary: option(layer, 'input_dim', 'inputDim'),
        units: option(layer, 'output_dim', 'outputDim'),
      },
    ];
  },
  Add: plain('add'),
  Multiply: plain('multiply'),
  Concatenate(layer) {
    const axis = axisOf(layer);
    must(layer, axis !== 0, 'axis 0');
    return [{ type: 'concatenate', axis: axis > 0 ? axis - 1 : axis }];
  },
  Activation: (layer) => simple(activationOf(layer)),
  Softmax: () => simple('softmax'),
  ReLU(layer) {
    must(layer, option(layer, 'max_value', 'maxValue') === undefined, 'max_value');
    must(layer, (option(layer, 'threshold') ?? 0) === 0, 'threshold');
    const slope = option(layer, 'negative_slope', 'negativeSlope') ?? 0;
    return slope === 0 ? simple('relu') : simple('leakyRelu', slope);
  },
  LeakyReLU: (layer) => simple('leakyRelu', option(layer, 'alpha', 'negative_slope') ?? 0.3),
  ELU: (layer) => simple('elu', option(layer, 'alpha') ?? 1),
};

const simple = (activation: string, alpha?: unknown): ConvertedLayer[] =>
  activation === 'linear' ? [{ type: 'identity' }] : [{ type: 'activation', activation, alpha }];

export const supportedLayers = Object.keys(converters);

/**
 * A layer of tfjs or Keras as layers of ours, one after the other. Throws `UnsupportedError` that names it, with what
 * is supported.
 */
export function convertLayer(layer: TfjsLayer, inputs: number, constants: ReadConstants): ConvertedLayer[] {
  const convert = Object.hasOwn(converters, layer.class_name) ? converters[layer.class_name] : undefined;
  if (!convert)
    return refuse(
      layer,
      `${layer.class_name} is not supported`,
      `supported layers: ${supportedLayers.join(', ')}`,
    );
  const merges = ['Add', 'Multiply', 'Concatenate'].includes(layer.class_name);
  // A merge of one input is that input.
  return merges && inputs === 1 ? [{ type: 'identity' }] : convert(layer, constants);
}
