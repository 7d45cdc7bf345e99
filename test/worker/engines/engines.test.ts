import { describe, expect, it } from '@jest/globals';
import { BadRequestError, UnsupportedError } from '../../../protocol/errors.js';
import { openEagerEngine, openEngine } from '../../../worker/engines/select.js';
import type { EngineTensor } from '../../../worker/engines/select.js';
import { matmulProgram } from '../../../worker/engines/webgpu.js';
import { engineNames, type EngineName } from '../../../worker/engines/names.js';
import { describeEngines } from '../../support/describe-engines.js';
import { engines } from '../../support/engines.js';

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
  it('auto: takes the fastest that is here, never a GPU that is none, and says why', async () => {
    const { engine, reason } = await openEngine('auto');
    expect(engine.name).toBe(engines.find((name) => name !== 'webgpu'));
    expect(engine.version).toMatch(/^(ONNX Runtime 1|TensorFlow\.js 4)\.\d+/);
    expect(reason).toMatch(
      ['onnx-cuda', 'tensorflow-gpu', 'onnx', 'tensorflow'].includes(engine.name)
        ? new RegExp(`^${engine.name}: the fastest engine that starts here`)
        : /^wasm: .*; tensorflow: libtensorflow has not been built here; webgpu: (the only adapter computes on the CPU|no adapter|Dawn is not there)/,
    );
    if (engine.name === 'onnx') expect(reason).toMatch(/tensorflow-gpu: (libtensorflow|no GPU)/);
  });

  it('for a loss of the user: an eager engine, whatever the network is computed with', async () => {
    const { engine } = await openEagerEngine('onnx');
    expect(engine.version).toMatch(/^TensorFlow\.js 4\./);
    expect((await openEagerEngine('cpu')).engine.name).toBe('cpu');
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

describeEngines('%s', body, engineNames);

function body(name: EngineName) {
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

  it('bytesOf: what several tensors share counts once', async () => {
    const { engine } = await openEngine(name);
    const [a, b] = [engine.upload(new Float32Array(6), [2, 3]), engine.upload(new Float32Array(2), [2])];
    const view = engine.reshape(a, [3, 2]);
    expect(engine.bytesOf([a, b, view])).toBe(4 * (6 + 2));
    engine.dispose([a, b, view]);
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

  it('slices, gathers and scatters: whole rows and columns, with repeats, gaps and zeros', async () => {
    const { engine } = await openEngine(name);
    const before = engine.memory();
    // 1 2 3
    // 4 5 6
    const a = engine.upload(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]);
    const ids = engine.upload(Float32Array.of(1, 0, 1), [3]);
    const values = async (tensor: EngineTensor) => {
      const found = Array.from(await engine.download(tensor));
      engine.dispose([tensor]);
      return found;
    };
    expect(await values(engine.sliceRows(a, 1, 2))).toEqual([4, 5, 6]);
    expect(await values(engine.gatherColumns(a, Int32Array.of(2, -1, 0, 0)))).toEqual([
      3, 0, 1, 1, 6, 0, 4, 4,
    ]);
    expect(await values(engine.scatterColumns(a, Int32Array.of(3, 1, 3), 4))).toEqual([
      0, 2, 0, 4, 0, 5, 0, 10,
    ]);
    expect(await values(engine.scatterColumns(a, Int32Array.of(-1, 0, 1), 2))).toEqual([2, 3, 5, 6]);
    const rows = engine.lookupRows(a, ids);
    expect(engine.shape(rows)).toEqual([3, 3]);
    expect(await values(engine.scatterRows(rows, ids, 3))).toEqual([1, 2, 3, 8, 10, 12, 0, 0, 0]);
    expect(await values(rows)).toEqual([4, 5, 6, 1, 2, 3, 4, 5, 6]);
    engine.dispose([a, ids]);
    expect(engine.memory()).toEqual(before);
  });

  it('lookupRows: an id that is none gives an error or NaN, never another row', async () => {
    const { engine } = await openEngine(name);
    const a = engine.upload(Float32Array.of(1, 2), [2, 1]);
    for (const wrong of [-1, 2, 0.5]) {
      const ids = engine.upload(Float32Array.of(0, wrong), [2]);
      if (name !== 'webgpu') expect(() => engine.lookupRows(a, ids)).toThrow(BadRequestError);
      else expect(Array.from(await engine.download(engine.lookupRows(a, ids)))).toEqual([1, NaN]);
    }
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
}

describe('matmulProgram', () => {
  it('never leaves a long inner axis to the backend, which would add in the order of finishing', () => {
    expect(matmulProgram(64, 1999, 64)).toBe(-1);
    expect(matmulProgram(8, 5000, 16)).toBe(-1); // The backend reduces outputs of at most 128 values in one order.
    expect(matmulProgram(64, 2000, 64)).toBe(2);
    expect(matmulProgram(784, 2000, 256)).toBe(3);
  });
});
