import { z } from 'zod';
import { limits } from './names.js';

/** A softmax is no activation here: at the head it belongs to the loss `softmaxCrossEntropy`. */
export const activations = [
  'linear',
  'relu',
  'leakyRelu',
  'elu',
  'selu',
  'gelu',
  'geluTanh',
  'silu',
  'tanh',
  'sigmoid',
  'softplus',
] as const;

const length = z.int().min(1).max(limits.features);
const pair = z.tuple([length, length]);
const oneByOne: [number, number] = [1, 1];

export const shapeSchema = z.array(length).min(1).max(4);
export const layerNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'a layer name is 1–64 letters, digits, "_", "-" or "."');

/** `inputs`: the layers whose outputs it takes, earlier in the list, or `input`; else the layer before it. */
const common = {
  name: layerNameSchema.optional(),
  inputs: z.array(layerNameSchema).min(1).max(64).optional(),
};
const activation = z.enum(activations).default('linear');
const units = { useBias: z.boolean().default(true), activation };
const padding = z.enum(['valid', 'same']).default('valid');
const window1d = { strides: length.default(1), padding };
const window2d = { strides: pair.default(oneByOne), padding };
const convolution1d = { kernelSize: length, ...window1d, dilation: length.default(1), ...units };
const convolution2d = { kernelSize: pair, ...window2d, dilation: pair.default(oneByOne), ...units };
/** Strides of a pooling layer are its window's lengths where they are not given. */
const pooling1d = { poolSize: length.default(2), strides: length.optional(), padding };
const pooling2d = { poolSize: pair.default([2, 2]), strides: pair.optional(), padding };
/** `keepDims`: the spatial axes stay, with length 1. */
const global = { keepDims: z.boolean().default(false) };
const border = z.tuple([z.int().min(0).max(limits.features), z.int().min(0).max(limits.features)]);
const constants = z.array(z.number()).min(1).max(limits.channels);
const affine = {
  epsilon: z.number().positive().default(1e-3),
  /** Whether it has γ. */
  scale: z.boolean().default(true),
  /** Whether it has β. */
  center: z.boolean().default(true),
};

const layer = <K extends string, S extends z.ZodRawShape>(type: K, fields: S) =>
  z.strictObject({ type: z.literal(type), ...common, ...fields });

/**
 * The layers, named and meant as in tfjs and Keras with channels last, as they are in inference. Convolutions, and
 * Dense on rows of several axes, act on the last axis.
 */
export const layerSchema = z.discriminatedUnion('type', [
  /** activation(x·W + b), W of shape inputs × units. */
  layer('dense', { units: length, ...units }),
  layer('conv1d', { filters: length, ...convolution1d }),
  layer('conv2d', { filters: length, ...convolution2d }),
  layer('depthwiseConv2d', { depthMultiplier: length.default(1), ...convolution2d }),
  layer('separableConv2d', { filters: length, depthMultiplier: length.default(1), ...convolution2d }),
  layer('maxPooling1d', pooling1d),
  layer('maxPooling2d', pooling2d),
  layer('averagePooling1d', pooling1d),
  layer('averagePooling2d', pooling2d),
  layer('globalMaxPooling1d', global),
  layer('globalMaxPooling2d', global),
  layer('globalAveragePooling1d', global),
  layer('globalAveragePooling2d', global),
  layer('flatten', {}),
  /** One length may be −1: what is left for it. */
  layer('reshape', {
    shape: z
      .array(z.union([length, z.literal(-1)]))
      .min(1)
      .max(4),
  }),
  /** [[top, bottom], [left, right]] */
  layer('zeroPadding2d', { padding: z.tuple([border, border]) }),
  /** Nearest neighbour. */
  layer('upSampling2d', { size: pair.default([2, 2]) }),
  /** γ·(x − mean)/√(variance + ε) + β a channel; the moving statistics are constants of the model, not parameters. */
  layer('batchNormalization', { ...affine, mean: constants, variance: constants }),
  /** Over the last axis. */
  layer('layerNormalization', affine),
  /** The identity, as it is outside training. */
  layer('dropout', {}),
  /** Ids 0 … vocabulary − 1 among the features, each to its row of a vocabulary × units table. */
  layer('embedding', { vocabulary: length, units: length }),
  layer('add', {}),
  /** Of two inputs. */
  layer('multiply', {}),
  /** Axis of a row's shape; −1 is the last. */
  layer('concatenate', { axis: z.int().min(-4).max(3).default(-1) }),
  /** `alpha`: slope (leakyRelu, 0.2 where not given) or height (elu, 1) on the negative side. */
  layer('activation', { activation, alpha: z.number().optional() }),
]);

export type Activation = (typeof activations)[number];
export type LayerDescription = z.infer<typeof layerSchema>;
export type LayerType = LayerDescription['type'];
export type LayerOf<K extends LayerType> = Extract<LayerDescription, { type: K }>;
export type Padding = 'valid' | 'same';
