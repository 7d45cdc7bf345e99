import { beforeAll, expect, it } from '@jest/globals';
import { activations } from '../../../protocol/layers.js';
import type { LayerDescription } from '../../../protocol/layers.js';
import { BadRequestError } from '../../../protocol/errors.js';
import {
  evaluate,
  linearize,
  prepareTangent,
  product,
  selectRows,
} from '../../../worker/curvature/linearization.js';
import { bindNetwork } from '../../../worker/curvature/network.js';
import { selfCheck } from '../../../worker/curvature/self-check.js';
import type { Engine } from '../../../worker/engines/engine.js';
import { openEngine } from '../../../worker/engines/select.js';
import { describeEngines, isSlow } from '../../support/engines.js';
import type { EngineTensor } from '../../../worker/engines/select.js';
import { dot, norm } from '../../../worker/curvature/vectors.js';
import {
  referenceGaussNewton,
  referenceGradient,
  referenceHvp,
  relativeError,
} from '../../support/reference.js';
import { networkProblem } from './problem.js';

/** Float32 through about ten products and sums of at most a few hundred terms. */
const tolerance = 5e-6;

type Layers = readonly (Pick<LayerDescription, 'type'> & Record<string, unknown>)[];
interface Case {
  shape: number[];
  layers: Layers;
  feature?: (uniform: number) => number;
}

const head = [{ type: 'flatten' }, { type: 'dense', units: 2 }] as const;
const bend = { type: 'activation', activation: 'tanh' } as const;
/** The layer twice where its shape allows: first on data, then on what parameters decide; with curvature behind it. */
const conv = { type: 'conv2d', filters: 3, kernelSize: [3, 2], activation: 'tanh' } as const;
const warm = { type: 'conv2d', filters: 2, kernelSize: [1, 1], activation: 'tanh' } as const;
const image = [5, 4, 2];

const cases: Record<string, Case> = {
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

describeEngines('%s', (name) => {
  let engine: Engine<EngineTensor>;
  beforeAll(async () => {
    ({ engine } = await openEngine(name));
  });

  for (const [index, [title, { shape, layers, feature }]] of Object.entries(cases).entries())
    (isSlow(name) && index % 8 !== 0 ? it.skip : it)(
      `product and evaluate: ${title} equal float64, symmetric, by rows, without a leak`,
      async () => {
        const before = engine.memory();
        const description = {
          input: { shape },
          layers,
          loss: index % 2 ? 'softmaxCrossEntropy' : 'squaredError',
        } as const;
        const problem = networkProblem(description, 5, 100 + index, {
          size: 0.7,
          ...(feature && { feature }),
        });
        const { network, parameters, batch, referenceRows } = problem;
        const p = parameters.length;
        const bound = bindNetwork(engine, network, parameters);
        const whole = linearize(engine, bound, batch);
        expect(engine.memory().tensors - before.tensors).toBe(bound.held.length + whole.held.length);

        const { loss, gradient } = await evaluate(engine, bound, batch);
        const expected = referenceGradient(network, parameters, referenceRows);
        expect(relativeError(gradient, expected.gradient)).toBeLessThan(tolerance);
        expect(Math.abs(loss - expected.loss)).toBeLessThan(tolerance * expected.loss);

        const some = selectRows(engine, whole, Int32Array.of(3, 0, 3));
        const reselected = selectRows(engine, some, Int32Array.of(1, 0, 2));
        for (const count of isSlow(name) ? [3] : [1, 3]) {
          const vectors = problem.uniform(count * p);
          const tangent = prepareTangent(engine, bound, vectors, count);
          const products = await product(engine, whole, tangent);
          const ofSome = await product(engine, some, tangent);
          for (let k = 0; k < count; k++) {
            const own = (values: Float32Array) => values.subarray(k * p, (k + 1) * p);
            const hv = referenceHvp(network, parameters, referenceRows, own(vectors));
            expect(relativeError(own(products), hv)).toBeLessThan(tolerance);
            const rows = [3, 0, 3].map((row) => referenceRows[row]!);
            const hvOfSome = referenceHvp(network, parameters, rows, own(vectors));
            expect(relativeError(own(ofSome), hvOfSome)).toBeLessThan(tolerance);
          }
          if (count > 1) {
            const [u, v] = [vectors.subarray(0, p), vectors.subarray(p, 2 * p)];
            const [hu, hv] = [products.subarray(0, p), products.subarray(p, 2 * p)];
            expect(Math.abs(dot(u, hv) - dot(v, hu))).toBeLessThan(tolerance * norm(u) * norm(hv));
          }
          const again = await product(engine, reselected, tangent);
          expect(relativeError(again, ofSome)).toBeLessThan(tolerance);
          engine.dispose(tangent.held);
        }
        engine.dispose([...some.held, ...reselected.held, ...whole.held, ...bound.held]);
        expect(engine.memory()).toEqual(before);
      },
    );

  it.each([
    'conv2d strides that leave a rest',
    'separableConv2d',
    'maxPooling2d',
    'batchNormalization',
    'layerNormalization',
    'embedding',
    'add, multiply and concatenate',
    'gelu',
  ])('product: the Gauss-Newton matrix of %s equals float64', async (title) => {
    const { shape, layers, feature } = cases[title]!;
    const description = { input: { shape }, layers, loss: 'softmaxCrossEntropy' } as const;
    const problem = networkProblem(description, 2, 60, { size: 0.7, ...(feature && { feature }) });
    const { network, parameters, batch, referenceRows } = problem;
    const bound = bindNetwork(engine, network, parameters);
    const linearization = linearize(engine, bound, batch, 'gauss-newton');
    const v = problem.uniform(parameters.length);
    const tangent = prepareTangent(engine, bound, v, 1);
    const values = await product(engine, linearization, tangent);
    engine.dispose([...tangent.held, ...linearization.held, ...bound.held]);
    const matrix = referenceGaussNewton(network, parameters, referenceRows);
    const expected = matrix.map((row) => row.reduce((sum, value, i) => sum + value * v[i]!, 0));
    expect(relativeError(values, expected)).toBeLessThan(tolerance);
  });

  it('product: sums over many rows and positions keep their precision', async () => {
    // 40 rows of 30 × 30 positions: more than one piece of the batch.
    const layers = [
      { type: 'conv2d', filters: 1, kernelSize: [3, 3], padding: 'same' },
      { type: 'globalAveragePooling2d' },
      { type: 'activation', activation: 'tanh' },
    ];
    const description = { input: { shape: [30, 30, 1] }, layers, loss: 'squaredError' } as const;
    const { network, parameters, batch, referenceRows, uniform } = networkProblem(description, 40, 7);
    const bound = bindNetwork(engine, network, parameters);
    const linearization = linearize(engine, bound, batch);
    const vectors = uniform(parameters.length);
    const tangent = prepareTangent(engine, bound, vectors, 1);
    const values = await product(engine, linearization, tangent);
    engine.dispose([...tangent.held, ...linearization.held, ...bound.held]);
    const expected = referenceHvp(network, parameters, referenceRows, vectors);
    expect(relativeError(values, expected)).toBeLessThan(tolerance);
  });

  // The cpu engine is the same code, and slow.
  (name === 'wasm' ? it : it.skip)('selfCheck: passes a network of many layers with kinks', async () => {
    const before = engine.memory();
    const layers = [
      { type: 'conv2d', name: 'stem', filters: 3, kernelSize: [3, 3], padding: 'same', activation: 'relu' },
      { type: 'maxPooling2d', name: 'pool' },
      { type: 'separableConv2d', filters: 3, kernelSize: [3, 3], padding: 'same', activation: 'selu' },
      { type: 'layerNormalization' },
      { type: 'add', inputs: ['layer3', 'pool'] },
      { type: 'globalMaxPooling2d' },
      { type: 'dense', units: 3 },
    ];
    const description = { input: { shape: [6, 6, 1] }, layers, loss: 'softmaxCrossEntropy' } as const;
    const { network, parameters, batch } = networkProblem(description, 30, 3, { size: 0.5 });
    const figures = await selfCheck(engine, network, parameters, batch);
    expect(figures.rows).toBeGreaterThan(0);
    expect(figures.differences).toBeLessThan(1e-2);
    expect(engine.memory()).toEqual(before);
  });

  // On a GPU, which cannot throw, such an id makes the product NaN.
  (name === 'webgpu' ? it.skip : it)('embedding: an id that is none is named', () => {
    const layers = [{ type: 'embedding', vocabulary: 5, units: 3 }, ...head];
    const description = { input: { shape: [2] }, layers, loss: 'squaredError' } as const;
    for (const wrong of [5, -1, 0.5]) {
      const { network, parameters, batch } = networkProblem(description, 2, 5, { feature: () => wrong });
      const bound = bindNetwork(engine, network, parameters);
      const before = engine.memory();
      expect(() => linearize(engine, bound, batch)).toThrow(BadRequestError);
      expect(engine.memory()).toEqual(before);
      engine.dispose(bound.held);
    }
  });
});
