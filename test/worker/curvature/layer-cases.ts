import { activations } from '../../../protocol/layers.js';
import type { LayerDescription } from '../../../protocol/layers.js';
import type { Curvature } from '../../../protocol/requests.js';
import { NetworkCheck } from './network-check.js';
import { networkProblem, type Problem } from './problem.js';

/** Float32 through about ten products and sums of at most a few hundred terms. */
export const layerTolerance = 5e-6;

interface LayerCase {
  /** Of a row. */
  shape: number[];
  layers: readonly (Pick<LayerDescription, 'type'> & Record<string, unknown>)[];
  /** A value of the features from one uniform in (−1, 1). */
  feature?: (uniform: number) => number;
}

const head = [{ type: 'flatten' }, { type: 'dense', units: 2 }] as const;
const bend = { type: 'activation', activation: 'tanh' } as const;
/** The layer twice where its shape allows: first on data, then on what parameters decide; with curvature behind it. */
const conv = { type: 'conv2d', filters: 3, kernelSize: [3, 2], activation: 'tanh' } as const;
const warm = { type: 'conv2d', filters: 2, kernelSize: [1, 1], activation: 'tanh' } as const;
const image = [5, 4, 2];

const cases: Record<string, LayerCase> = {
  'conv2d valid': { shape: image, layers: [conv, { ...conv, filters: 2, kernelSize: [2, 2] }, ...head] },
  'conv2d same, 2 × 2 kernel': {
    shape: image,
    layers: [{ ...conv, padding: 'same' }, { ...conv, padding: 'same', kernelSize: [2, 2] }, ...head],
  },
  'conv2d strides that leave a rest': {
    shape: [6, 7, 2],
    layers: [
      { ...conv, strides: [2, 1], kernelSize: [3, 3] },
      { ...conv, strides: [1, 3], kernelSize: [1, 2], useBias: false },
      ...head,
    ],
  },
  'conv2d strides, same': {
    shape: [5, 6, 1],
    layers: [
      { ...conv, strides: [2, 2], padding: 'same' },
      { ...conv, strides: [2, 3], padding: 'same' },
      ...head,
    ],
  },
  'conv2d strides longer than the window': {
    shape: [6, 6, 2],
    layers: [warm, { ...conv, kernelSize: [1, 1], strides: [2, 3] }, ...head],
  },
  'conv2d dilation': {
    shape: [7, 6, 2],
    layers: [{ ...conv, dilation: [2, 1] }, { ...conv, dilation: [1, 2], padding: 'same' }, ...head],
  },
  conv1d: {
    shape: [8, 2],
    layers: [
      { type: 'conv1d', filters: 3, kernelSize: 3, strides: 2, activation: 'tanh' },
      { type: 'conv1d', filters: 2, kernelSize: 2, dilation: 2, padding: 'same', activation: 'sigmoid' },
      ...head,
    ],
  },
  'dense on the last axis': {
    shape: [3, 2, 2],
    layers: [
      { type: 'dense', units: 3, activation: 'tanh' },
      { type: 'dense', units: 2, activation: 'tanh' },
      ...head,
    ],
  },
  depthwiseConv2d: {
    shape: image,
    layers: [
      {
        type: 'depthwiseConv2d',
        kernelSize: [2, 3],
        depthMultiplier: 2,
        activation: 'tanh',
        padding: 'same',
      },
      { type: 'depthwiseConv2d', kernelSize: [2, 2], strides: [2, 1], activation: 'tanh' },
      { type: 'depthwiseConv2d', kernelSize: [2, 1], dilation: [1, 2], padding: 'same', useBias: false },
      bend,
      ...head,
    ],
  },
  separableConv2d: {
    shape: image,
    layers: [
      { type: 'separableConv2d', filters: 3, kernelSize: [3, 3], activation: 'tanh', padding: 'same' },
      { type: 'separableConv2d', filters: 2, kernelSize: [2, 2], depthMultiplier: 2, useBias: false },
      bend,
      ...head,
    ],
  },
  maxPooling2d: { shape: [6, 6, 2], layers: [warm, { type: 'maxPooling2d' }, conv, ...head] },
  'maxPooling2d overlapping, same': {
    shape: [5, 6, 2],
    layers: [
      warm,
      { type: 'maxPooling2d', poolSize: [3, 2], strides: [2, 1], padding: 'same' },
      conv,
      ...head,
    ],
  },
  'maxPooling1d on data': {
    shape: [7, 2],
    layers: [
      { type: 'maxPooling1d', poolSize: 3, strides: 2 },
      { type: 'dense', units: 2, activation: 'tanh' },
      ...head,
    ],
  },
  maxPooling1d: {
    shape: [7, 2],
    layers: [{ type: 'conv1d', filters: 2, kernelSize: 2 }, { type: 'maxPooling1d' }, bend, ...head],
  },
  averagePooling2d: {
    shape: [5, 6, 2],
    layers: [
      warm,
      { type: 'averagePooling2d', poolSize: [3, 2], strides: [2, 2], padding: 'same' },
      bend,
      ...head,
    ],
  },
  averagePooling1d: {
    shape: [7, 2],
    layers: [
      { type: 'conv1d', filters: 2, kernelSize: 2 },
      { type: 'averagePooling1d', strides: 1 },
      bend,
      ...head,
    ],
  },
  globalMaxPooling2d: { shape: image, layers: [warm, { type: 'globalMaxPooling2d' }, bend, ...head] },
  globalAveragePooling2d: { shape: image, layers: [warm, { type: 'globalAveragePooling2d' }, bend, ...head] },
  globalMaxPooling1d: {
    shape: [5, 2],
    layers: [{ type: 'dense', units: 3 }, { type: 'globalMaxPooling1d' }, bend, { type: 'dense', units: 2 }],
  },
  globalAveragePooling1d: {
    shape: [5, 2],
    layers: [
      { type: 'dense', units: 3 },
      bend,
      { type: 'globalAveragePooling1d' },
      { type: 'dense', units: 2 },
    ],
  },
  'zeroPadding2d and upSampling2d': {
    shape: [2, 3, 2],
    layers: [
      {
        type: 'zeroPadding2d',
        padding: [
          [1, 0],
          [0, 2],
        ],
      },
      warm,
      { type: 'upSampling2d', size: [2, 1] },
      {
        type: 'zeroPadding2d',
        padding: [
          [0, 1],
          [1, 0],
        ],
      },
      conv,
      ...head,
    ],
  },
  'reshape and dropout': {
    shape: [12],
    layers: [
      { type: 'reshape', shape: [3, 2, 2] },
      warm,
      { type: 'dropout' },
      { type: 'reshape', shape: [6, 2] },
      { type: 'conv1d', filters: 2, kernelSize: 2 },
      bend,
      ...head,
    ],
  },
  batchNormalization: {
    shape: [3, 2, 2],
    layers: [
      { type: 'batchNormalization', mean: [0.1, -0.2], variance: [0.5, 0.25] },
      warm,
      { type: 'batchNormalization', mean: [0.3, 0.1], variance: [0.3, 0.2] },
      bend,
      { type: 'batchNormalization', mean: [0, 0.1], variance: [1, 2], scale: false },
      bend,
      { type: 'batchNormalization', mean: [0.2, 0.1], variance: [1, 2], center: false },
      bend,
      { type: 'batchNormalization', mean: [0.2, 0.1], variance: [1, 2], center: false, scale: false },
      ...head,
    ],
  },
  layerNormalization: {
    shape: [3, 4],
    layers: [
      { type: 'layerNormalization' },
      { type: 'dense', units: 5 },
      { type: 'layerNormalization', epsilon: 0.1 },
      bend,
      { type: 'dense', units: 3 },
      { type: 'layerNormalization', center: false, scale: false, epsilon: 0.1 },
      ...head,
    ],
  },
  embedding: {
    shape: [4],
    feature: (uniform) => Math.floor((uniform + 1) * 2.5),
    layers: [
      { type: 'embedding', vocabulary: 5, units: 3 },
      bend,
      { type: 'conv1d', filters: 2, kernelSize: 2, activation: 'tanh' },
      ...head,
    ],
  },
  'add, multiply and concatenate': {
    shape: [3, 2],
    layers: [
      { type: 'dense', name: 'a', units: 2, activation: 'tanh' },
      { type: 'dense', name: 'b', inputs: ['input'], units: 2 },
      { type: 'multiply', name: 'm', inputs: ['a', 'b'] },
      { type: 'add', name: 's', inputs: ['m', 'a', 'input'] },
      { type: 'multiply', name: 'square', inputs: ['s', 's'] },
      { type: 'multiply', name: 'gate', inputs: ['input', 's'] },
      { type: 'concatenate', name: 'c', inputs: ['square', 'input', 'gate'] },
      { type: 'dense', units: 2, activation: 'tanh' },
      { type: 'concatenate', inputs: ['layer7', 'b'], axis: 0 },
      ...head,
    ],
  },
  'a residual block with normalisation': {
    shape: [4, 4, 1],
    layers: [
      { type: 'conv2d', name: 'stem', filters: 3, kernelSize: [3, 3], padding: 'same' },
      { type: 'batchNormalization', mean: [0, 0.1, -0.1], variance: [0.5, 1, 0.7] },
      { type: 'activation', name: 'first', activation: 'silu' },
      { type: 'conv2d', filters: 3, kernelSize: [3, 3], padding: 'same', activation: 'gelu' },
      { type: 'add', inputs: ['layer3', 'first'] },
      { type: 'globalAveragePooling2d' },
      { type: 'dense', units: 3 },
    ],
  },
  ...Object.fromEntries(
    activations.map((activation) => [
      activation,
      {
        shape: [3],
        layers: [
          { type: 'dense', units: 4, activation },
          { type: 'dense', units: 3 },
          { type: 'activation', activation, alpha: 0.3 },
          { type: 'dense', units: 2 },
        ],
      },
    ]),
  ),
};

/** Every layer, by title; the first number of a case is its seed's. */
export const layerTitles = Object.keys(cases);

/** Of five rows. */
export function layerProblem(title: string): Problem {
  const { shape, layers, feature } = cases[title]!;
  const index = layerTitles.indexOf(title);
  const loss = index % 2 ? 'softmaxCrossEntropy' : 'squaredError';
  const options = { size: 0.7, ...(feature && { feature }) };
  return networkProblem({ input: { shape }, layers, loss }, 5, 100 + index, options);
}

/** Products and gradients of the rows, and of selections of them: three right-hand sides. */
export function layerCheck(title: string, curvature: Curvature): NetworkCheck {
  return new NetworkCheck(layerProblem(title), {
    curvature,
    count: 3,
    selections: [
      [3, 0, 3],
      [1, 0, 2],
    ],
  });
}
