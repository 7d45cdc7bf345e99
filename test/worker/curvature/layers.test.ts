import { beforeAll, expect, it } from '@jest/globals';
import { BadRequestError } from '../../../protocol/errors.js';
import { linearize } from '../../../worker/curvature/linearization.js';
import { bindNetwork } from '../../../worker/curvature/network.js';
import { selfCheck } from '../../../worker/curvature/self-check.js';
import type { Engine } from '../../../worker/engines/engine.js';
import { openEngine } from '../../../worker/engines/select.js';
import type { EngineTensor } from '../../../worker/engines/select.js';
import { describeEngines } from '../../support/describe-engines.js';
import { isSlow } from '../../support/tested-engines.js';
import { exceeding } from '../../support/largest-errors.js';
import { layerCheck, layerTitles, layerTolerance } from './layer-cases.js';
import { NetworkCheck } from './network-check.js';
import { networkProblem } from './problem.js';

const checks = layerTitles.map((title) => [title, layerCheck(title, 'hessian')] as const);
const gaussNewtonChecks = [
  'conv2d strides that leave a rest',
  'separableConv2d',
  'maxPooling2d',
  'batchNormalization',
  'layerNormalization',
  'embedding',
  'add, multiply and concatenate',
  'gelu',
].map((title) => [title, layerCheck(title, 'gauss-newton')] as const);

describeEngines('%s', (name) => {
  let engine: Engine<EngineTensor>;
  beforeAll(async () => {
    ({ engine } = await openEngine(name));
  });

  async function expectFloat64(check: NetworkCheck, counts: readonly number[]) {
    const before = engine.memory();
    expect(exceeding(await check.errors(engine, counts), layerTolerance)).toEqual({});
    expect(engine.memory()).toEqual(before);
  }

  it.each(checks.filter((_, index) => !isSlow(name) || index % 8 === 0))(
    'product and evaluate: %s: equal float64, symmetric, by rows, without a leak',
    (_, check) => expectFloat64(check, isSlow(name) ? [3] : [1, 3]),
  );

  it.each(gaussNewtonChecks.filter((_, index) => !isSlow(name) || index % 4 === 0))(
    'product: the Gauss-Newton matrix of %s equals float64',
    (_, check) => expectFloat64(check, [3]),
  );

  it('product: sums over many rows and positions keep their precision', async () => {
    // 40 rows of 30 × 30 positions: more than one piece of the batch.
    const layers = [
      { type: 'conv2d', filters: 1, kernelSize: [3, 3], padding: 'same' },
      { type: 'globalAveragePooling2d' },
      { type: 'activation', activation: 'tanh' },
    ];
    const description = { input: { shape: [30, 30, 1] }, layers, loss: 'squaredError' } as const;
    const check = new NetworkCheck(networkProblem(description, 40, 7));
    // The gradient is the sum of features that cancel.
    expect((await check.errors(engine)).product).toBeLessThan(layerTolerance);
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
    const layers = [
      { type: 'embedding', vocabulary: 5, units: 3 },
      { type: 'flatten' },
      { type: 'dense', units: 2 },
    ];
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
