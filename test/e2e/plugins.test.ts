import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { fromMemory } from '../../datasets/synthetic.js';
import { UnsupportedError } from '../../protocol/errors.js';
import type { RequestInput } from '../../protocol/requests.js';
import { generator } from '../../protocol/random.js';
import { command } from '../support/command.js';
import { relativeError, shifted, solveDense, times, type Matrix } from '../support/dense.js';
import { examples } from '../docs/examples.js';
import { TestFarm } from '../support/farm.js';

const file = 'examples/losses.mjs';
const [rows, width, l2] = [40, 3, 0.05];
const random = generator(7);
const uniform = () => Math.fround(random.next() / 2 ** 31);
const features = Float32Array.from({ length: rows * width }, uniform);
const labels = Float32Array.from({ length: rows }, uniform);
const weights = Float32Array.from({ length: rows }, (_, row) => row % 3);
const total = weights.reduce((sum, weight) => sum + weight, 0);
const theta = Float64Array.from({ length: 8 }, () => Math.fround(0.5 * uniform()));

/** The objective `heteroscedastic`, and its first and second differences, in float64. */
function objective(at: ArrayLike<number>): number {
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    const x = features.subarray(row * width, (row + 1) * width);
    const line = (from: number) =>
      x.reduce((value, feature, i) => value + feature * at[from + i]!, at[from + 3]!);
    const [mean, logSpread] = [line(0), line(4)];
    sum += weights[row]! * (0.5 * ((labels[row]! - mean) * Math.exp(-logSpread)) ** 2 + logSpread);
  }
  return sum / total + Array.from(at).reduce((penalty, value) => penalty + (l2 / 2) * value * value, 0);
}
const h = 1e-4;
const moved = (at: Float64Array, i: number, by: number) =>
  at.map((value, j) => (i === j ? value + by : value));
const slope = (at: Float64Array, i: number) =>
  (objective(moved(at, i, h)) - objective(moved(at, i, -h))) / (2 * h);
const hessian: Matrix = Array.from(theta, (_, i) =>
  Array.from(theta, (_, j) => (slope(moved(theta, i, h), j) - slope(moved(theta, i, -h), j)) / (2 * h)),
);
const ones = new Float64Array(8).fill(1);

const base = { model: 'spread', dataset: 'noise', leafRows: 10 } as const;
let farm: TestFarm;
beforeAll(async () => {
  farm = await TestFarm.start({ workers: 2, plugins: [file] });
  await farm.importRows(
    'noise',
    fromMemory(features, labels, { kind: 'real', width: 1 }, { weights }),
    rows / 2,
  );
  const words = [
    'model',
    'create',
    'spread',
    '--plugin',
    file,
    '--objective',
    'heteroscedastic',
    '--input',
    '3',
  ];
  const made = await command([...words, '--l2', String(l2), '--prefix', farm.prefix], { url: farm.url });
  expect(made.stderr).toBe('');
  const models = await farm.client.models();
  const { input, plugin } = (await models.get('spread')) as Extract<
    Awaited<ReturnType<typeof models.get>>,
    { plugin: object }
  >;
  await farm.putModel('spread', { input, plugin, l2 }, theta);
});
afterAll(() => farm.stop());

const failureOf = (request: RequestInput) =>
  farm.ask(request).then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a loss function of the user on a farm', () => {
  // Second differences of float64 are right to 1e-7; float32 sums of 40 rows to some 1e-6.
  it('hvp: exact products and differences, with the self-check in the report', async () => {
    const exact = await farm.ask({ type: 'hvp', ...base, rhs: { kind: 'ones' } });
    expect(relativeError(exact.values, times(hessian, ones))).toBeLessThan(1e-5);
    expect(exact.report.workers.some(({ selfCheck }) => selfCheck !== undefined && selfCheck.rows > 0)).toBe(
      true,
    );
    // Whatever `auto` takes for networks, TensorFlow.js functions are computed by TensorFlow.js, and the report says so.
    for (const { engine, reason } of exact.report.workers) {
      expect(engine).toMatch(/^(tensorflow|wasm)$/);
      expect(reason).toMatch(/a loss function of your own is computed by an eager engine$/);
    }
    const hvp = { mode: 'finite-difference', step: 1e-3 } as const;
    const differences = await farm.ask({ type: 'hvp', ...base, rhs: { kind: 'ones' }, hvp });
    expect(relativeError(differences.values, times(hessian, ones))).toBeLessThan(1e-3);
  });

  it('gradient: that of the weighted mean and l2', async () => {
    const { values, report } = await farm.ask({ type: 'gradient', ...base });
    expect(
      relativeError(
        values,
        Float64Array.from(theta, (_, i) => slope(theta, i)),
      ),
    ).toBeLessThan(1e-5);
    expect(Math.abs(report.loss! - objective(theta))).toBeLessThan(1e-5);
  });

  it('solve: lissa in minibatches comes to the same solution as a dense solver', async () => {
    const rhs = { kind: 'ones' } as const;
    const method = { name: 'lissa', scale: 30, batchSize: 20, depth: 100, samples: 2 } as const;
    const { values } = await farm.ask({ type: 'solve', ...base, leafRows: rows, rhs, damping: 5, method });
    // Two chains of noisy minibatches.
    expect(relativeError(values, solveDense(shifted(hessian, 5), ones))).toBeLessThan(0.1);
  });

  it('an unknown function: an error that lists those there are; gauss-newton: an error', async () => {
    const plugin = { name: 'absent', parameters: [{ name: 'w', shape: [3, 1] }] };
    await farm.putModel('absent', { input: { shape: [width] }, plugin, l2 }, new Float32Array(3));
    const failure = await failureOf({ type: 'gradient', ...base, model: 'absent' });
    expect(failure).toBeInstanceOf(UnsupportedError);
    expect(failure).toMatchObject({ hint: 'it has: heteroscedastic, ordinal' });
    expect(
      await failureOf({ type: 'hvp', ...base, rhs: { kind: 'ones' }, curvature: 'gauss-newton' }),
    ).toBeInstanceOf(UnsupportedError);
  });

  it('the page shows the example as it is', () => {
    const shown = examples('docs/plugins.md', 'js').join('');
    expect(readFileSync(file, 'utf8')).toContain(shown.trim());
  });
});
