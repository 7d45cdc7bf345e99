import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { fromMemory } from '../../datasets/synthetic.js';
import type { RequestInput } from '../../protocol/requests.js';
import { command } from '../support/command.js';
import { withFolder } from '../support/datasets.js';
import { TestFarm } from '../support/farm.js';

/*
 * One row (x, y) = (2, 1), ŷ = w₂w₁x without biases, ℓ = (ŷ − y)², w = (1, ⅓), v = (1, 1). By hand:
 * H = [[8w₂², 16w₁w₂ − 4], [16w₁w₂ − 4, 8w₁²]] = [[8/9, 4/3], [4/3, 8]].
 * The expected numbers have six decimals. Beyond half a unit of the last one, products are float32: each is off by a
 * few 1e-7 of its size (H v is about 9, so 2e-6), and a LiSSA state, at most scale·1.25 = 25, rounds in each of 100 steps
 * by 2⁻²⁴·25 = 1.5e-6, which the division by the scale brings to 7e-8 and the contraction to a sum of a few.
 */
const sixDecimals = 0.5e-6;
const float32 = { product: 2e-6, solution: 1e-6 };

/*
 * Central differences with r = 1e-2 subtract two float32 gradients of size ≤ 3 and divide by 2r: an error of up to
 * 2·3·2⁻²⁴/2e-2 ≈ 2e-5 in a product, which a solution inherits in proportion: of H⁻¹'s norm, 1.5, less its damping.
 */
const difference = { product: 4e-5, solution: 2e-5 };

const network = {
  input: { shape: [1] },
  layers: [1, 1].map((units) => ({ type: 'dense', units, useBias: false, activation: 'linear' }) as const),
  loss: 'squaredError' as const,
  l2: 0,
};
const differences = { mode: 'finite-difference', step: 1e-2 } as const;
const problem = { model: 'notebook', dataset: 'one-row', rhs: { kind: 'ones' } } as const;

let farm: TestFarm;

beforeAll(async () => {
  farm = await TestFarm.start({ workers: 2 });
  const rows = (count: number) =>
    fromMemory(new Float32Array(count).fill(2), new Float32Array(count).fill(1), { kind: 'real', width: 1 });
  await farm.importRows('one-row', rows(1));
  await farm.importRows('two-rows', rows(2));
  await farm.putModel('notebook', network, [1, 1 / 3]);
});
afterAll(() => farm?.stop());

async function expectAnswer(request: RequestInput, expected: readonly number[], tolerance: number) {
  const { values, report } = await farm.ask(request);
  expect(values).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(Math.abs(values[i]! - value)).toBeLessThan(tolerance);
  return report;
}

const lissa = (settings: object) =>
  ({ name: 'lissa', scale: 10, batchSize: 1, depth: 100, samples: 1, ...settings }) as const;

describe('the notebook through a coordinator and two workers', () => {
  it('examples/notebook: draws the iterates and the curves', async () => {
    const example = fileURLToPath(new URL('../../examples/notebook.js', import.meta.url));
    await withFolder(async (folder) => {
      const words = ['--out', folder, '--prefix', farm.prefix, '--steps', '1,2,30'];
      const env = { ...process.env, IHVP_NATS_URL: farm.url };
      const { stdout } = await promisify(execFile)(process.execPath, [example, ...words], { env });
      expect(stdout).toMatch(/scale = 1: .* diverged/);
      const files = await readdir(folder);
      expect(files.filter((file) => file.endsWith('.svg'))).toHaveLength(11);
      const drawn = await readFile(join(folder, 'lissa-scales.svg'), 'utf8');
      for (const text of ['scale = 20', 'scale = 1', '>30<']) expect(drawn).toContain(text);
      const png = await readFile(join(folder, 'solvers.png'));
      expect(png.subarray(1, 4).toString()).toBe('PNG');
    });
  });

  it('ihvp plot: a solve as SVG, a fit as PNG, and nothing of a product', async () => {
    await withFolder(async (folder) => {
      const plot = async (request: RequestInput, file: string) => {
        const { job } = await farm.ask(request);
        const words = ['plot', job.id, '--out', file, '--prefix', farm.prefix];
        return command(words, { url: farm.url, folder });
      };
      const solve = { type: 'solve', ...problem, damping: 0.1, method: { name: 'cg' } } as const;
      expect(await plot(solve, 'solve.svg')).toMatchObject({ code: 0, stdout: 'saved: solve.svg\n' });
      const svg = await readFile(join(folder, 'solve.svg'), 'utf8');
      for (const text of ['notebook (p = 2) on one-row (n = 1): converged', 'relative residual'])
        expect(svg).toContain(text);
      const fit = { type: 'fit', model: 'notebook', dataset: 'one-row', into: 'fitted' } as const;
      expect((await plot(fit, 'fit.png')).code).toBe(0);
      expect((await readFile(join(folder, 'fit.png'))).length).toBeGreaterThan(5000);
      const product = await plot({ type: 'hvp', ...problem }, 'product.svg');
      expect(product.stderr).toContain('a hvp job has no curve to draw');
      expect((await plot(solve, 'solve.pdf')).stderr).toContain('neither an .svg nor a .png');
    });
  });

  it.each(['one-row', 'two-rows'])('hvp: the exact product, a mean over %s', async (dataset) => {
    const request = { type: 'hvp', ...problem, dataset } as const;
    await expectAnswer(request, [20 / 9, 28 / 3], float32.product);
  });

  it('hvp: leaves of one row each give the same mean', async () => {
    const request = { type: 'hvp', ...problem, dataset: 'two-rows', leafRows: 1 } as const;
    const report = await expectAnswer(request, [20 / 9, 28 / 3], float32.product);
    expect(report.dataset).toMatchObject({ rows: 2, leaves: 2 });
  });

  it('hvp: central differences, r = 1e-2', async () => {
    // Five decimals; the difference to the exact product is r²·third-order terms = 8e-4, far above the tolerance.
    const request = { type: 'hvp', ...problem, hvp: differences } as const;
    await expectAnswer(request, [2.22302, 9.33413], 0.5e-5 + difference.product);
  });

  it.each(['one-row', 'two-rows'])('cg: (1.25, −0.0833333) on %s', async (dataset) => {
    const request = { type: 'solve', ...problem, dataset, method: { name: 'cg' } } as const;
    const report = await expectAnswer(request, [1.25, -1 / 12], float32.solution);
    expect(report.status).toBe('converged');
    expect(report.columns![0]!.trueResidual).toBeLessThan(1e-5);
  });

  it('direct: (1.25, −0.0833333), and the condition number of H', async () => {
    const request = { type: 'solve', ...problem, method: { name: 'direct' } } as const;
    const report = await expectAnswer(request, [1.25, -1 / 12], float32.solution);
    expect(report).toMatchObject({ status: 'converged', products: 3 });
    // ‖H‖₁ = 28/3, H⁻¹ = [[8, −4/3], [−4/3, 8/9]] / (16/3), so ‖H⁻¹‖₁ = 7/4.
    expect(report.conditionNumber).toBeCloseTo((28 / 3) * (7 / 4), 4);
  });

  it('auto: two parameters are solved directly, and the report says why', async () => {
    const request = { type: 'solve', ...problem, method: { name: 'auto' } } as const;
    const report = await expectAnswer(request, [1.25, -1 / 12], float32.solution);
    expect(report.chosen).toMatchObject({ method: { name: 'direct', tolerance: 1e-5 } });
    expect(report.advice).toMatch(/^auto took direct: p = 2, which is no more than cg multiplies/);
  });

  it('newton-cg: (1.25, −0.08333) in SciPy’s iterations', async () => {
    const request = { type: 'solve', ...problem, method: { name: 'newton-cg' } } as const;
    const report = await expectAnswer(request, [1.25, -1 / 12], 5e-6);
    // SciPy in float64 takes 5 (test/fixtures/newton_cg.json); float32 products may end the line search before.
    expect(report.iterations).toBeLessThanOrEqual(5);
    expect(report.columns![0]!.evaluations!.hessian).toBeLessThanOrEqual(10);
    expect(['converged', 'precision-limited']).toContain(report.status);
  });

  it('newton-cg: by central differences, r = 1e-2', async () => {
    const request = { type: 'solve', ...problem, hvp: differences, method: { name: 'newton-cg' } } as const;
    await expectAnswer(request, [1.25, -0.0833], 1e-3);
  });

  it('direct: an indefinite H is solved, and said to be indefinite', async () => {
    // At w = (0.1, 0.1): H = [[0.08, −3.84], [−3.84, 0.08]], eigenvalues −3.76 and 3.92.
    await farm.putModel('saddle', network, [0.1, 0.1]);
    const request = { type: 'solve', ...problem, model: 'saddle', method: { name: 'direct' } } as const;
    const report = await expectAnswer(request, [-1 / 3.76, -1 / 3.76], float32.solution);
    expect(report.status).toBe('converged');
    expect(report.advice).toContain('not positive definite');
  });

  it.each([
    [20, 1.205804, -0.075319],
    [10, 1.248576, -0.083075],
    [5, 1.249999, -0.083333],
  ])('lissa: 100 steps, scale %d', async (scale, first, second) => {
    const request = { type: 'solve', ...problem, method: lissa({ scale }) } as const;
    const report = await expectAnswer(request, [first, second], sixDecimals + float32.solution);
    expect(report.status).toBe('completed');
    expect(report.products).toBe(101);
  });

  it.each([
    [20, 1.198576, -0.070189],
    [10, 1.245175, -0.081251],
    [5, 1.249095, -0.082859],
  ])('lissa: 100 steps by central differences, scale %d', async (scale, first, second) => {
    const request = { type: 'solve', ...problem, hvp: differences, method: lissa({ scale }) } as const;
    await expectAnswer(request, [first, second], sixDecimals + difference.solution);
  });

  it('lissa: scale 1 is reported as diverged, with finite numbers and a way out', async () => {
    const { report, values, job } = await farm.ask({
      type: 'solve',
      ...problem,
      method: lissa({ scale: 1, restarts: 0 }),
    });
    expect(job.state).toBe('done');
    expect(report.status).toBe('diverged');
    expect(report.columns).toHaveLength(1);
    expect(report.columns![0]!.status).toBe('diverged');
    expect(report.advice).toContain('scale');
    expect(values.every(Number.isFinite)).toBe(true);
    expect(JSON.stringify(report)).not.toMatch(/null|NaN|Infinity/);
  });

  it.each([
    [0.1, 1.085338, -0.055193],
    [0.5, 0.714678, 0.005541],
    [1, 0.50365, 0.036496],
  ])('lissa: scale 10, damping %d', async (damping, first, second) => {
    const request = { type: 'solve', ...problem, damping, method: lissa({}) } as const;
    const report = await expectAnswer(request, [first, second], sixDecimals + float32.solution);
    expect(report.damping).toBe(damping);
  });

  it.each([
    [0.1, 0.50365, 0.036496],
    [0.5, 0.156018, 0.060921],
    [1, 0.085812, 0.049199],
  ])("lissa: scale 10, damping %d in the original authors' convention", async (damping, first, second) => {
    const method = lissa({ convention: 'authors' });
    const request = { type: 'solve', ...problem, damping, method } as const;
    const report = await expectAnswer(request, [first, second], sixDecimals + float32.solution);
    expect(report.damping).toBe(damping * 10);
  });
});
