import { beforeAll, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { activations, losses } from '../../../protocol/model.js';
import type { Network } from '../../../protocol/model.js';
import { LabelOutOfRangeError, ShapeMismatchError } from '../../../protocol/errors.js';
import {
  evaluate,
  linearize,
  prepareTangent,
  product,
  selectRows,
} from '../../../worker/curvature/linearization.js';
import { bindNetwork } from '../../../worker/curvature/network.js';
import { rowGradient } from '../../../worker/curvature/row-gradient.js';
import type { Batch } from '../../../worker/curvature/batch.js';
import type { Engine } from '../../../worker/engines/engine.js';
import { openEngine } from '../../../worker/engines/select.js';
import type { EngineTensor } from '../../../worker/engines/select.js';
import { referenceGradient, referenceHvp, relativeError } from '../../support/reference.js';
import { describeEngines } from '../../support/describe-engines.js';
import { isSlow } from '../../support/tested-engines.js';
import { exceeding } from '../../support/largest-errors.js';
import { NetworkCheck } from './network-check.js';
import { randomProblem } from './problem.js';

/**
 * Float32 has 6e-8; a product passes through at most seven matrix products of at most 40 terms and transcendental
 * functions of a few ulp. Measured: at most 1e-6 on every engine, webgpu on SwiftShader included.
 */
const tolerance = 3e-6;

// A kink within the reference's own differences would be no fault of ours: these seeds have none.
const dense = losses.flatMap((loss) =>
  // Every activation is with every layer in layers.test.ts.
  (['linear', 'relu', 'tanh', 'sigmoid', 'softplus'] as const).map((activation) => {
    const checks = [false, true].flatMap((useBias, i) =>
      [[3], [4, 3], [5, 4, 2]].map((units, j) => {
        const seed = 3 * i + j + 1;
        const problem = randomProblem({ width: 4, units, activation, loss, useBias }, 6 * seed - 1, seed);
        return new NetworkCheck(problem, { count: 7 });
      }),
    );
    return { loss, activation, checks };
  }),
);

const lastActivations = (['tanh', ...activations.filter((each) => each !== 'tanh')] as const).flatMap(
  (lastActivation) =>
    (['squaredError', 'sigmoidCrossEntropy'] as const).map((loss, i) => {
      const shape = {
        width: 3,
        units: [4, 2],
        activation: 'tanh',
        lastActivation,
        loss,
        useBias: true,
      } as const;
      return new NetworkCheck(randomProblem(shape, 9, 5 + i), { count: 2 });
    }),
);

describeEngines('%s', (name) => {
  let engine: Engine<EngineTensor>;
  beforeAll(async () => {
    ({ engine } = await openEngine(name));
  });

  async function multiplyOnce(
    network: Network,
    parameters: Float32Array,
    batch: Batch,
    vectors: Float32Array,
    count: number,
  ) {
    const bound = bindNetwork(engine, network, parameters);
    const linearization = linearize(engine, bound, batch);
    const tangent = prepareTangent(engine, bound, vectors, count);
    const values = await product(engine, linearization, tangent);
    engine.dispose([...bound.held, ...linearization.held, ...tangent.held]);
    return values;
  }

  /** Of products with the first right-hand sides, so many as each of `counts` says. */
  async function expectFloat64(check: NetworkCheck, counts?: readonly number[], within = tolerance) {
    expect(exceeding(await check.errors(engine, counts), within)).toEqual({});
  }

  it.each(
    dense.filter(
      ({ loss, activation }) => !isSlow(name) || loss === 'softmaxCrossEntropy' || activation === 'tanh',
    ),
  )(
    'product and evaluate: $activation with $loss equal float64, 1–3 layers, with and without bias',
    async ({ checks }) => {
      if (isSlow(name)) await expectFloat64(checks.at(-1)!);
      else for (const check of checks) await expectFloat64(check, [1, 3, 7]);
    },
  );

  it('product: an activation on the last layer equals float64', async () => {
    for (const check of isSlow(name) ? lastActivations.slice(0, 2) : lastActivations)
      await expectFloat64(check);
  });

  it('product: one row, one unit and one direction', async () => {
    const shape = {
      width: 1,
      units: [1],
      activation: 'linear',
      loss: 'sigmoidCrossEntropy',
      useBias: true,
    } as const;
    await expectFloat64(new NetworkCheck(randomProblem(shape, 1, 3)));
  });

  it('product: the two-weight example of the notebook', async () => {
    const layer = { type: 'dense', units: 1, useBias: false, activation: 'linear' } as const;
    const network: Network = { input: { shape: [1] }, layers: [layer, layer], loss: 'squaredError', l2: 0 };
    const batch = { rows: 1, features: Float32Array.of(2), labels: Float32Array.of(1) };
    const values = await multiplyOnce(network, Float32Array.of(1, 1 / 3), batch, Float32Array.of(1, 1), 1);
    // 2(2w₂)² + (16w₁w₂ − 4) and (16w₁w₂ − 4) + 2(2w₁)², with w₂ = 1/3 rounded to float32.
    expect(values[0]).toBeCloseTo(20 / 9, 5);
    expect(values[1]).toBeCloseTo(28 / 3, 5);
  });

  it.each(['softmaxCrossEntropy', 'sigmoidCrossEntropy'] as const)(
    'product and evaluate: %s keeps its relative precision at logits of ±100',
    async (loss) => {
      const shape = { width: 3, units: [4], activation: 'linear', loss, useBias: true } as const;
      // A sum of terms of size 100 is known to about 1e-5 in float32, and exp makes that a relative error.
      for (const size of [10, 40, 100]) {
        const check = new NetworkCheck(randomProblem(shape, 7, 11, size), { count: 3 });
        await expectFloat64(check, [3], 2e-5);
      }
    },
  );

  it('product: saturated hidden units give no NaN and equal float64', async () => {
    for (const activation of isSlow(name) ? (['tanh'] as const) : activations) {
      const problem = randomProblem(
        { width: 3, units: [4, 2], activation, loss: 'squaredError', useBias: true },
        7,
        12,
      );
      problem.parameters.set(problem.uniform(16, 100));
      await expectFloat64(new NetworkCheck(problem, { count: 2 }));
    }
  });

  it('product: is symmetric and linear', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          width: fc.integer({ min: 1, max: 5 }),
          units: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 }),
          activation: fc.constantFrom(...activations),
          loss: fc.constantFrom(...losses),
          useBias: fc.boolean(),
        }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer(),
        async (shape, rows, seed) => {
          const { network, parameters, batch, uniform } = randomProblem(shape, rows, seed);
          const p = parameters.length;
          const [u, v] = [uniform(p), uniform(p)];
          const both = Float32Array.of(...u, ...v, ...u.map((value, i) => value + v[i]!));
          const values = await multiplyOnce(network, parameters, batch, both, 3);
          const [hu, hv, sum] = [0, 1, 2].map((k) => values.subarray(k * p, (k + 1) * p)) as [
            Float32Array,
            Float32Array,
            Float32Array,
          ];
          const dot = (a: Float32Array, b: Float32Array) => a.reduce((s, value, i) => s + value * b[i]!, 0);
          const norm = (a: Float32Array) => Math.sqrt(dot(a, a));
          // Absolute where H·v itself cancels to almost nothing.
          const size = (norm(hu) + norm(hv)) * (norm(u) + norm(v)) + rows;
          expect(Math.abs(dot(u, hv) - dot(v, hu))).toBeLessThan(1e-5 * size);
          expect(norm(sum.map((value, i) => value - hu[i]! - hv[i]!))).toBeLessThan(1e-5 * size);
        },
      ),
      { numRuns: isSlow(name) ? 4 : 40 },
    );
  });

  it('selectRows: all rows in order give the same bits, some rows the product of a batch of those', async () => {
    for (const activation of isSlow(name) ? (['tanh'] as const) : activations) {
      const shape = {
        width: 4,
        units: [5, 3],
        activation,
        loss: 'softmaxCrossEntropy',
        useBias: true,
      } as const;
      const { network, parameters, batch, referenceRows, uniform } = randomProblem(shape, 13, 21);
      const bound = bindNetwork(engine, network, parameters);
      const whole = linearize(engine, bound, batch);
      const vectors = uniform(2 * parameters.length);
      const tangent = prepareTangent(engine, bound, vectors, 2);
      const all = selectRows(
        engine,
        whole,
        Int32Array.from({ length: 13 }, (_, i) => i),
      );
      expect(await product(engine, all, tangent)).toEqual(await product(engine, whole, tangent));
      const indices = Int32Array.of(12, 3, 3, 7);
      const some = selectRows(engine, whole, indices);
      expect(some.rows).toBe(4);
      const expected = referenceHvp(
        network,
        parameters,
        Array.from(indices, (row) => referenceRows[row]!),
        vectors.subarray(0, parameters.length),
      );
      const values = await product(engine, some, tangent);
      expect(relativeError(values.subarray(0, parameters.length), expected)).toBeLessThan(tolerance);
      engine.dispose([...bound.held, ...whole.held, ...tangent.held, ...all.held, ...some.held]);
    }
  });

  it('rowGradient: is the gradient of that row alone', async () => {
    const shape = {
      width: 4,
      units: [5, 3],
      activation: 'tanh',
      loss: 'softmaxCrossEntropy',
      useBias: true,
    } as const;
    const { network, parameters, batch, referenceRows } = randomProblem(shape, 6, 31);
    const bound = bindNetwork(engine, network, parameters);
    const expected = referenceGradient(network, parameters, [referenceRows[4]!]).gradient;
    expect(relativeError(await rowGradient(engine, bound, batch, 4), expected)).toBeLessThan(tolerance);
    engine.dispose(bound.held);
  });

  it('product: many of them, and what they were made of, leave no tensor behind', async () => {
    const shape = {
      width: 4,
      units: [5, 3],
      activation: 'softplus',
      loss: 'softmaxCrossEntropy',
      useBias: true,
    } as const;
    const { network, parameters, batch, uniform } = randomProblem(shape, 11, 41);
    const before = engine.memory();
    const bound = bindNetwork(engine, network, parameters);
    const linearization = linearize(engine, bound, batch);
    const ready = engine.memory();
    expect(ready.tensors - before.tensors).toBe(bound.held.length + linearization.held.length);
    for (let i = 0; i < (isSlow(name) ? 3 : 200); i++) {
      const tangent = prepareTangent(engine, bound, uniform(3 * parameters.length), 3);
      const some = selectRows(engine, linearization, Int32Array.of(1, 5));
      await product(engine, some, tangent);
      await product(engine, linearization, tangent);
      engine.dispose([...tangent.held, ...some.held]);
    }
    await evaluate(engine, bound, batch);
    expect(engine.memory()).toEqual(ready);
    engine.dispose([...bound.held, ...linearization.held]);
    expect(engine.memory()).toEqual(before);
  });

  it('linearize: throws for a batch that does not fit, and leaves no tensor behind', async () => {
    const shape = {
      width: 4,
      units: [3],
      activation: 'linear',
      loss: 'softmaxCrossEntropy',
      useBias: true,
    } as const;
    const { network, parameters, batch } = randomProblem(shape, 2, 51);
    const bound = bindNetwork(engine, network, parameters);
    const before = engine.memory();
    expect(() => linearize(engine, bound, { ...batch, labels: Int32Array.of(0, 3) })).toThrow(
      LabelOutOfRangeError,
    );
    expect(() => linearize(engine, bound, { ...batch, rows: 3 })).toThrow(ShapeMismatchError);
    expect(() => prepareTangent(engine, bound, new Float32Array(14), 1)).toThrow(ShapeMismatchError);
    await expect(evaluate(engine, bound, { ...batch, labels: Int32Array.of(0) })).rejects.toThrow(
      ShapeMismatchError,
    );
    expect(engine.memory()).toEqual(before);
    engine.dispose(bound.held);
  });
});
