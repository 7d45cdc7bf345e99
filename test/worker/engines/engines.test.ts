import { describe, expect, it } from '@jest/globals';
import { UnsupportedError } from '../../../protocol/errors.js';
import { openEngine } from '../../../worker/engines/select.js';
import { describeEngines, engines } from '../../support/engines.js';

const exact = {
  tanh: Math.tanh,
  sigmoid: (x: number) => 1 / (1 + Math.exp(-x)),
  exp: Math.exp,
  softplus: (x: number) => Math.log1p(Math.exp(x)),
  relu: (x: number) => Math.max(0, x),
  step: (x: number) => (x > 0 ? 1 : 0),
};

/** ‖found − expected‖ / ‖expected‖ */
function distance(found: Float32Array, expected: readonly number[]): number {
  return Math.hypot(...expected.map((value, i) => found[i]! - value)) / Math.hypot(...expected);
}

describe('openEngine', () => {
  it('auto: takes the fastest that is here, and says why', async () => {
    const { engine, reason } = await openEngine('auto');
    expect(engine.name).toBe(engines[0]);
    expect(engine.version).toMatch(/^TensorFlow\.js 4\./);
    expect(reason).toMatch(
      engine.name === 'tensorflow'
        ? /^tensorflow: the fastest engine that starts here$/
        : /^wasm: .*; libtensorflow has not been built here$/,
    );
  });

  it('throws UnsupportedError for an unknown engine', async () => {
    await expect(openEngine('abacus')).rejects.toThrow(UnsupportedError);
  });

  it('several engines of one thread do not disturb each other', async () => {
    const opened = [];
    for (const name of engines) opened.push((await openEngine(name)).engine);
    for (const engine of [...opened, ...opened]) {
      const a = engine.upload(Float32Array.of(1, 2, 3, 4), [2, 2]);
      const b = engine.matmul(a, a);
      expect(Array.from(await engine.download(b))).toEqual([7, 10, 15, 22]);
      engine.dispose([a, b]);
    }
  });
});

describeEngines('%s', (name) => {
  it('matmul: a right operand seen through two shapes is read rightly both times', async () => {
    const { engine } = await openEngine(name);
    const before = engine.memory();
    const b = engine.upload(
      Float32Array.from({ length: 6 }, (_, i) => i),
      [2, 3],
    );
    const view = engine.reshape(b, [3, 2]);
    const first = engine.matmul(engine.fill([1, 2], 1), b);
    const second = engine.matmul(engine.fill([1, 3], 1), view);
    expect(Array.from(await engine.download(first))).toEqual([3, 5, 7]);
    expect(Array.from(await engine.download(second))).toEqual([6, 9]);
    engine.dispose([b, view, first, second]);
    expect(engine.memory().tensors - before.tensors).toBe(2); // the two fills
  });

  it('upload and download: hold copies', async () => {
    const { engine } = await openEngine(name);
    const values = Float32Array.of(1, 2);
    const a = engine.upload(values, [2]);
    values[0] = 9;
    const down = await engine.download(a);
    expect(Array.from(down)).toEqual([1, 2]);
    down[0] = 7;
    expect(Array.from(await engine.download(a))).toEqual([1, 2]);
    engine.dispose([a]);
  });

  it('tidy: frees all but what is kept, in nested scopes and when the work throws', () => {
    return openEngine(name).then(({ engine }) => {
      const before = engine.memory().tensors;
      const kept = engine.tidy(
        () =>
          engine.tidy(
            () => engine.exp(engine.fill([3], 0)),
            (a) => [a],
          ),
        () => [],
      );
      expect(engine.memory().tensors).toBe(before + 1);
      engine.dispose([kept]);
      expect(() =>
        engine.tidy(
          () => {
            engine.fill([3], 1);
            throw new Error('stop');
          },
          () => [],
        ),
      ).toThrow('stop');
      expect(engine.memory().tensors).toBe(before);
    });
  });

  it('gatherRows: takes rows of any rank in order, with repeats', async () => {
    const { engine } = await openEngine(name);
    const a = engine.upload(
      Float32Array.from({ length: 12 }, (_, i) => i),
      [3, 2, 2],
    );
    const rows = engine.gatherRows(a, Int32Array.of(2, 0, 2));
    expect(engine.shape(rows)).toEqual([3, 2, 2]);
    expect(Array.from(await engine.download(rows))).toEqual([8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]);
    engine.dispose([a, rows]);
  });

  // Each element is within some units in the last place (2⁻²⁴ = 6e-8); the sums of 96 terms add up as many roundings.
  it.each<[keyof typeof exact, number]>([
    ['tanh', 3e-7],
    ['sigmoid', 3e-7],
    ['exp', 3e-7],
    ['softplus', 3e-7],
    ['relu', 0],
    ['step', 0],
  ])('%s: agrees with float64', async (operation, tolerance) => {
    const { engine } = await openEngine(name);
    const values = Float32Array.from({ length: 64 * 96 }, (_, i) => 3 * Math.sin(i * i));
    const a = engine.upload(values, [64, 96]);
    const b = engine[operation](a);
    expect(distance(await engine.download(b), Array.from(values, exact[operation]))).toBeLessThanOrEqual(
      tolerance,
    );
    engine.dispose([a, b]);
  });

  it('matmul, transpose and sum: agree with float64', async () => {
    const { engine } = await openEngine(name);
    const [m, k, n] = [17, 96, 33];
    const left = Float32Array.from({ length: m * k }, (_, i) => Math.sin(i * i));
    const right = Float32Array.from({ length: n * k }, (_, i) => Math.cos(i * i));
    const a = engine.upload(left, [m, k]);
    const b = engine.upload(right, [n, k]);
    const transposed = engine.transpose(b, [1, 0]);
    const product = engine.matmul(a, transposed);
    const sums = engine.sum(product, 0);
    const expected = Array.from({ length: m * n }, (_, place) => {
      const [row, column] = [Math.floor(place / n), place % n];
      let total = 0;
      for (let i = 0; i < k; i++) total += left[row * k + i]! * right[column * k + i]!;
      return total;
    });
    const columns = Array.from({ length: n }, (_, column) =>
      expected.reduce((total, value, place) => (place % n === column ? total + value : total), 0),
    );
    expect(distance(await engine.download(product), expected)).toBeLessThan(1e-6);
    expect(engine.shape(sums)).toEqual([1, n]);
    expect(distance(await engine.download(sums), columns)).toBeLessThan(1e-6);
    engine.dispose([a, b, transposed, product, sums]);
  });
});
