import { describe, expect, it } from '@jest/globals';
import { SelfCheckError } from '../../../protocol/errors.js';
import { activations, losses } from '../../../protocol/model.js';
import { curvatures } from '../../../protocol/requests.js';
import { selfCheck } from '../../../worker/curvature/self-check.js';
import { openEngine } from '../../../worker/engines/select.js';
import type { Device } from '../../../worker/engines/operations.js';
import { engines } from '../../support/engines.js';
import { isSlow } from '../../support/tested-engines.js';
import { randomProblem } from './problem.js';

/** The same device, with one operation that answers wrongly. */
function broken<T>(device: Device<T>, change: Partial<Device<T>>): Device<T> {
  return new Proxy(device, {
    get(target, key) {
      const method: unknown = Reflect.get(key in change ? change : target, key);
      return typeof method === 'function' ? (method.bind(target) as unknown) : method;
    },
  });
}

describe('selfCheck', () => {
  for (const name of engines)
    for (const loss of losses)
      (isSlow(name) && loss !== 'softmaxCrossEntropy' ? it.skip : it)(
        `passes every activation with ${loss} on ${name}, large and small, and leaves no tensor behind`,
        async () => {
          const { engine } = await openEngine(name);
          const before = engine.memory();
          const smooth = ['relu', 'tanh'] as const;
          const tried = isSlow(name) ? (['tanh'] as const) : loss === 'squaredError' ? activations : smooth;
          for (const activation of tried)
            for (const [seed, size] of (name === 'wasm' ? [0.1, 1, 3] : [1]).entries()) {
              // exp(ŷ) of outputs in the hundreds is past float32.
              if (loss === 'poisson' && size > 1) continue;
              const shape = { width: 6, units: [8, 5, 3], activation, loss, useBias: seed !== 1 };
              const { network, parameters, batch } = randomProblem(shape, 40, seed, size);
              for (const curvature of size === 1 && !isSlow(name) ? curvatures : (['hessian'] as const)) {
                const figures = await selfCheck(engine, network, parameters, batch, curvature);
                expect(figures.rows).toBeGreaterThan(0);
                expect(figures.symmetry).toBeLessThan(1e-4);
                expect(figures.differences).toBeLessThan(1e-2 + 3 * figures.doubt);
              }
            }
          expect(engine.memory()).toEqual(before);
        },
      );

  it('passes a wide relu network, where many rows cross kinks, and parameters of zero with large features', async () => {
    const { engine } = await openEngine('wasm');
    const wide = randomProblem(
      { width: 20, units: [200, 100, 4], activation: 'relu', loss: 'softmaxCrossEntropy', useBias: true },
      64,
      3,
      0.2,
    );
    const figures = await selfCheck(engine, wide.network, wide.parameters, wide.batch);
    expect(figures.rows).toBeGreaterThan(0);
    expect(figures.differences).toBeLessThan(1e-2);

    const flat = randomProblem(
      { width: 20, units: [4], activation: 'linear', loss: 'softmaxCrossEntropy', useBias: true },
      64,
      4,
      0,
    );
    flat.batch.features = flat.batch.features.map((value) => 255 * value);
    const plain = await selfCheck(engine, flat.network, flat.parameters, flat.batch);
    expect(plain.differences).toBeLessThan(1e-2);
  });

  it('finds a wrong derivative and names a layer', async () => {
    const { engine } = await openEngine('wasm');
    const shape = {
      width: 5,
      units: [6, 3],
      activation: 'tanh',
      loss: 'softmaxCrossEntropy',
      useBias: true,
    } as const;
    const { network, parameters, batch } = randomProblem(shape, 20, 9);
    // tanh′ is computed from σ: one fifth too large, while the value of tanh stays right.
    const device = broken(engine, { sigmoid: (a) => engine.scale(engine.sigmoid(a), Math.sqrt(1.2)) });
    for (const curvature of curvatures) {
      const failing = selfCheck(device, network, parameters, batch, curvature);
      await expect(failing).rejects.toThrow(SelfCheckError);
      await expect(failing).rejects.toThrow(/layer[01]/);
    }
  });

  it('finds a product that is not symmetric, and one that is not a number', async () => {
    const { engine } = await openEngine('wasm');
    const shape = {
      width: 5,
      units: [6, 3],
      activation: 'sigmoid',
      loss: 'squaredError',
      useBias: true,
    } as const;
    const { network, parameters, batch } = randomProblem(shape, 20, 10);
    // The gradient of the first kernel, inputs × units, is one tenth too large: so are its differences.
    const skewed = broken(engine, {
      matmul(a, b) {
        const right = engine.matmul(a, b);
        return engine.shape(a)[0] === 5 ? engine.scale(right, 1.1) : right;
      },
    });
    await expect(selfCheck(skewed, network, parameters, batch)).rejects.toThrow(/not symmetric/);
    parameters[3] = NaN;
    await expect(selfCheck(engine, network, parameters, batch)).rejects.toThrow(SelfCheckError);
  });
});
