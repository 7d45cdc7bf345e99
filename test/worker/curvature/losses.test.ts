import { expect, it } from '@jest/globals';
import { LabelOutOfRangeError, ShapeMismatchError } from '../../../protocol/errors.js';
import type { losses } from '../../../protocol/model.js';
import { curvatures, type Curvature } from '../../../protocol/requests.js';
import { linearize, prepareTangent, product } from '../../../worker/curvature/linearization.js';
import { bindNetwork } from '../../../worker/curvature/network.js';
import { openEngine } from '../../../worker/engines/select.js';
import { describeEngines } from '../../support/describe-engines.js';
import { isSlow } from '../../support/tested-engines.js';
import { exceeding } from '../../support/largest-errors.js';
import { referenceHvp, relativeError } from '../../support/reference.js';
import { lossCheck, lossKinds, lossTolerance } from './loss-cases.js';
import { randomProblem } from './problem.js';
import type { Problem } from './problem.js';

const checks = lossKinds.flatMap((kind) =>
  ['plain', 'weighted'].flatMap((rows) =>
    curvatures.map((curvature) => {
      const check = lossCheck(kind, curvature, rows === 'weighted');
      return { title: kind.title, curvature, rows, check };
    }),
  ),
);

describeEngines('losses on %s', (name) => {
  /** The product with a block of K vectors. */
  async function multiply(
    { network, parameters, batch }: Problem,
    curvature: Curvature,
    vectors: Float32Array,
    count: number,
  ) {
    const { engine } = await openEngine(name);
    const before = engine.memory();
    const bound = bindNetwork(engine, network, parameters);
    const linearization = linearize(engine, bound, batch, curvature);
    const tangent = prepareTangent(engine, bound, vectors, count);
    const values = await product(engine, linearization, tangent);
    engine.dispose([...bound.held, ...linearization.held, ...tangent.held]);
    expect(engine.memory()).toEqual(before);
    return values;
  }

  const weights = isSlow(name) ? ['weighted'] : ['plain', 'weighted'];
  it.each(checks.filter(({ rows }) => weights.includes(rows)))(
    'linearize and evaluate: $title, $curvature, $rows rows: equal float64, and so do those of some rows',
    async ({ check }) => {
      const { engine } = await openEngine(name);
      const errors = await check.errors(engine, isSlow(name) ? [3] : [1, 3]);
      expect(exceeding(errors, lossTolerance)).toEqual({});
    },
  );

  it('linearize: a Gauss-Newton product is the Hessian product where the network is linear in its parameters', async () => {
    for (const kind of lossKinds) {
      const shape = { width: 3, units: [3], activation: 'linear', useBias: true, ...kind } as const;
      const p = randomProblem(shape, 7, 23);
      const vectors = p.uniform(3 * p.parameters.length);
      expect(await multiply(p, 'gauss-newton', vectors, 3)).toEqual(await multiply(p, 'hessian', vectors, 3));
    }
  });

  it('linearize: the Gauss-Newton matrix is positive semi-definite where the Hessian is not', async () => {
    const shape = {
      width: 3,
      units: [5, 4],
      activation: 'tanh',
      loss: 'squaredError',
      useBias: true,
    } as const;
    const p = randomProblem(shape, 4, 24, 2);
    const size = p.parameters.length;
    const vectors = p.uniform(64 * size);
    const curvatureAlong = async (curvature: Curvature) => {
      const products = await multiply(p, curvature, vectors, 64);
      return Array.from({ length: 64 }, (_, k) => {
        const of = (all: Float32Array) => all.subarray(k * size, (k + 1) * size);
        return of(vectors).reduce((sum, value, i) => sum + value * of(products)[i]!, 0);
      });
    };
    expect(Math.min(...(await curvatureAlong('hessian')))).toBeLessThan(-0.1);
    expect(Math.min(...(await curvatureAlong('gauss-newton')))).toBeGreaterThan(0);
  });

  it('linearize: logits of ±100 keep every loss finite and at its relative precision', async () => {
    for (const kind of lossKinds)
      for (const curvature of curvatures) {
        // exp(ŷ) is past float32 at 89; a distribution has no class whose logit is right.
        const size = kind.loss === 'poisson' ? 15 : 40;
        const p = randomProblem(
          { width: 3, units: [3], activation: 'linear', useBias: true, ...kind },
          7,
          11,
          size,
        );
        const vectors = p.uniform(p.parameters.length);
        const values = await multiply(p, curvature, vectors, 1);
        // A logit of 100 is known to about 1e-5 in float32, and exp makes that a relative error.
        const expected = referenceHvp(p.network, p.parameters, p.referenceRows, vectors);
        expect(relativeError(values, expected)).toBeLessThan(3e-5);
      }
  });

  it('linearize: refuses labels that the loss does not take, and weights that are not one a row', async () => {
    const { engine } = await openEngine(name);
    const refuse = (
      loss: (typeof losses)[number],
      labels: number[],
      error: new (message: string) => Error,
    ) => {
      const shape = { width: 2, units: [2], activation: 'linear', loss, useBias: true } as const;
      const { network, parameters, batch } = randomProblem(shape, 1, 1);
      const bound = bindNetwork(engine, network, parameters);
      expect(() => linearize(engine, bound, { ...batch, labels: Float32Array.from(labels) })).toThrow(error);
      engine.dispose(bound.held);
    };
    refuse('softmaxCrossEntropy', [0.5, 0.4], LabelOutOfRangeError);
    refuse('softmaxCrossEntropy', [1.5, -0.5], LabelOutOfRangeError);
    refuse('softmaxCrossEntropy', [1], ShapeMismatchError);
    refuse('sigmoidCrossEntropy', [0, 1.5], LabelOutOfRangeError);
    refuse('poisson', [0, -1], LabelOutOfRangeError);
    const shape = { width: 2, units: [2], activation: 'linear', loss: 'huber', useBias: true } as const;
    const { network, parameters, batch } = randomProblem(shape, 3, 1);
    const bound = bindNetwork(engine, network, parameters);
    expect(() => linearize(engine, bound, { ...batch, weights: Float32Array.of(1, 2) })).toThrow(
      ShapeMismatchError,
    );
    engine.dispose(bound.held);
  });
});
