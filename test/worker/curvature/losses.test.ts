import { expect, it } from '@jest/globals';
import { LabelOutOfRangeError, ShapeMismatchError } from '../../../protocol/errors.js';
import { losses } from '../../../protocol/model.js';
import { curvatures, type Curvature } from '../../../protocol/requests.js';
import {
  evaluate,
  linearize,
  prepareTangent,
  product,
  selectRows,
} from '../../../worker/curvature/linearization.js';
import { bindNetwork } from '../../../worker/curvature/network.js';
import { openEngine } from '../../../worker/engines/select.js';
import { times } from '../../support/dense.js';
import { describeEngines } from '../../support/engines.js';
import {
  referenceGaussNewton,
  referenceGradient,
  referenceHvp,
  relativeError,
} from '../../support/reference.js';
import { randomProblem } from './problem.js';
import type { Problem } from './problem.js';

/** As for the products of every layer: float32 through a few matrix products, measured at most 1e-6. */
const tolerance = 3e-6;
const kinds = [
  ...losses.map((loss) => ({ loss })),
  { loss: 'softmaxCrossEntropy', distributions: true },
] as const;

describeEngines('losses on %s', (name) => {
  /** The product with a block of K vectors, of all rows or of those of `indices`. */
  async function multiply(
    { network, parameters, batch }: Problem,
    curvature: Curvature,
    vectors: Float32Array,
    count: number,
    indices?: Int32Array,
  ) {
    const { engine } = await openEngine(name);
    const before = engine.memory();
    const bound = bindNetwork(engine, network, parameters);
    const whole = linearize(engine, bound, batch, curvature);
    const some = indices && selectRows(engine, whole, indices);
    const tangent = prepareTangent(engine, bound, vectors, count);
    const values = await product(engine, some ?? whole, tangent);
    engine.dispose([...bound.held, ...whole.held, ...(some?.held ?? []), ...tangent.held]);
    expect(engine.memory()).toEqual(before);
    return values;
  }

  function reference(
    { network, parameters, referenceRows }: Problem,
    curvature: Curvature,
    indices?: Int32Array,
  ) {
    const rows = indices ? Array.from(indices, (row) => referenceRows[row]!) : referenceRows;
    if (curvature === 'hessian')
      return (v: Float32Array): ArrayLike<number> => referenceHvp(network, parameters, rows, v);
    const matrix = referenceGaussNewton(network, parameters, rows);
    return (v: Float32Array) => times(matrix, v);
  }

  for (const kind of kinds)
    for (const weighted of [false, true]) {
      const title = `${kind.loss}${'distributions' in kind ? ' with distributions' : ''}${weighted ? ', weighted' : ''}`;
      const problem = (seed: number, size = 1) =>
        randomProblem(
          { width: 3, units: [4, 3], activation: 'tanh', useBias: true, weighted, ...kind },
          7,
          seed,
          size,
        );

      for (const curvature of curvatures)
        it(`linearize: ${curvature} products with ${title} equal the float64 matrix, K = 1 and 3, and of some rows`, async () => {
          const p = problem(21);
          const size = p.parameters.length;
          for (const indices of [undefined, Int32Array.of(5, 0, 2, 2)]) {
            const expected = reference(p, curvature, indices);
            for (const count of [1, 3]) {
              const vectors = p.uniform(count * size);
              const values = await multiply(p, curvature, vectors, count, indices);
              for (let k = 0; k < count; k++) {
                const of = (all: Float32Array) => all.subarray(k * size, (k + 1) * size);
                expect(relativeError(of(values), expected(of(vectors)))).toBeLessThan(tolerance);
              }
            }
          }
        });

      it(`evaluate: loss and gradient of ${title} equal float64`, async () => {
        const { engine } = await openEngine(name);
        const { network, parameters, batch, referenceRows } = problem(22);
        const bound = bindNetwork(engine, network, parameters);
        const { loss, gradient } = await evaluate(engine, bound, batch);
        engine.dispose(bound.held);
        const expected = referenceGradient(network, parameters, referenceRows);
        expect(relativeError(gradient, expected.gradient)).toBeLessThan(tolerance);
        expect(Math.abs(loss - expected.loss)).toBeLessThan(tolerance * Math.abs(expected.loss));
      });
    }

  it('linearize: a Gauss-Newton product is the Hessian product where the network is linear in its parameters', async () => {
    for (const kind of kinds) {
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
    for (const kind of kinds)
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
        expect(relativeError(values, reference(p, 'hessian')(vectors))).toBeLessThan(3e-5);
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
