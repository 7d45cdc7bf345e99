import { describe, expect, it } from '@jest/globals';
import { UnsupportedError } from '../../../protocol/errors.js';
import { openEngine } from '../../../worker/engines/select.js';
import { matmulProgram } from '../../../worker/engines/webgpu.js';
import { describeEngines } from '../../support/engines.js';

describe('openEngine', () => {
  it('auto: takes the fastest that starts, never a GPU that is none, and says why', async () => {
    const { engine, reason } = await openEngine('auto');
    expect(engine.name).toBe('wasm');
    expect(engine.version).toMatch(/^TensorFlow\.js 4\./);
    expect(reason).toMatch(
      /^wasm: .*; webgpu: (the only adapter computes on the CPU|no adapter|Dawn is not there)/,
    );
  });

  it('throws UnsupportedError for an unknown engine', async () => {
    await expect(openEngine('abacus')).rejects.toThrow(UnsupportedError);
  });

  it('two engines of one thread do not disturb each other', async () => {
    const [{ engine: wasm }, { engine: cpu }] = [await openEngine('wasm'), await openEngine('cpu')];
    for (const engine of [wasm, cpu, wasm]) {
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

  it('matmul: a long inner axis gives the float64 sums, and the same bits every time', async () => {
    const { engine } = await openEngine(name);
    const before = engine.memory();
    const [m, inner, n] = [16, 2048, 16];
    const values = (length: number, step: number) =>
      Float32Array.from({ length }, (_, i) => Math.fround(Math.sin(step * i)));
    const [left, right] = [values(m * inner, 0.7), values(inner * n, 1.3)];
    const [a, b] = [engine.upload(left, [m, inner]), engine.upload(right, [inner, n])];
    const [first, second] = [engine.matmul(a, b), engine.matmul(a, b)];
    const product = await engine.download(first);
    expect(await engine.download(second)).toEqual(product);
    const expected = Float64Array.from({ length: m * n }, (_, i) => {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += left[Math.floor(i / n) * inner + k]! * right[k * n + (i % n)]!;
      return sum;
    });
    // 2048 terms of size 1/2, each rounded to 6e-8 at worst in the same direction.
    for (const [i, value] of product.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-4);
    engine.dispose([a, b, first, second]);
    expect(engine.memory()).toEqual(before);
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
});

describe('matmulProgram', () => {
  it('never leaves a long inner axis to the backend, which would add in the order of finishing', () => {
    expect(matmulProgram(64, 1999, 64)).toBe(-1);
    expect(matmulProgram(8, 5000, 16)).toBe(-1); // The backend reduces outputs of at most 128 values in one order.
    expect(matmulProgram(64, 2000, 64)).toBe(2);
    expect(matmulProgram(784, 2000, 256)).toBe(3);
  });
});
