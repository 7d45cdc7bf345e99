import { describe, expect, it } from '@jest/globals';
import { symmetricEigen } from '../../../coordinator/dense/symmetric-eigen.js';
import { quadrature, tridiagonals } from '../../../coordinator/solvers/lanczos-quadrature.js';
import { logDeterminant } from '../../../coordinator/solvers/log-determinant.js';
import { spectralDensity } from '../../../coordinator/solvers/spectral-density.js';
import { hutchinson, hutchPlusPlus } from '../../../coordinator/solvers/trace.js';
import { denseOperator, solveDense, times, withSpectrum } from '../../support/dense.js';
import { rademacher, reflections } from '../../support/probes.js';

const size = 80;
/** A few large eigenvalues over a bulk: what a trained network's Hessian looks like. */
const spectrum = Array.from({ length: size }, (_, i) => (i < 6 ? 20 / (i + 1) : 0.05 + (0.2 * i) / size));
const matrix = withSpectrum(spectrum, reflections(size, 1, 6));
const trace = spectrum.reduce((sum, value) => sum + value, 0);
const options = { probe: rademacher(size, 3), probes: 12, steps: 25, vectors: 1000 };

describe('tridiagonals, quadrature', () => {
  it('quadrature: zᵀf(H)z of polynomials up to degree 2·steps − 1, and no further', async () => {
    const z = rademacher(size, 3)(0);
    const [probe] = await tridiagonals(denseOperator(matrix), { ...options, probes: 1, steps: 4 });
    const { nodes, weights } = quadrature(probe!, symmetricEigen);
    let power: number[] = [...z];
    for (let degree = 0; degree <= 8; degree += 1) {
      const exact = power.reduce((sum, value, i) => sum + value * z[i]!, 0);
      const estimate = probe!.square * nodes.reduce((sum, node, j) => sum + weights[j]! * node ** degree, 0);
      if (degree < 8) expect(Math.abs(estimate / exact - 1)).toBeLessThan(1e-12);
      else expect(Math.abs(estimate / exact - 1)).toBeGreaterThan(1e-9);
      power = times(matrix, power);
    }
  });

  it('quadrature: zᵀH⁻¹z by a dense solve', async () => {
    const z = rademacher(size, 3)(1);
    const probes = await tridiagonals(denseOperator(matrix), { ...options, probes: 2, steps: 40 });
    const { nodes, weights } = quadrature(probes[1]!, symmetricEigen);
    const exact = solveDense(matrix, z).reduce((sum, value, i) => sum + value * z[i]!, 0);
    const estimate = probes[1]!.square * nodes.reduce((sum, node, j) => sum + weights[j]! / node, 0);
    expect(Math.abs(estimate / exact - 1)).toBeLessThan(1e-9);
  });

  it('tridiagonals: probes share passes; fewer vectors in memory change no number', async () => {
    const operator = denseOperator(matrix);
    const together = await tridiagonals(operator, options);
    expect(operator).toMatchObject({ products: 25, vectors: 12 * 25 });
    const apart = await tridiagonals(operator, { ...options, vectors: 60 });
    expect(operator.products).toBe(25 + 6 * 25);
    expect(apart).toEqual(together);
  });

  it('tridiagonals: a Krylov space that is invariant ends its probe with an exact quadrature', async () => {
    const flat = withSpectrum([...new Array<number>(30).fill(3), ...new Array<number>(10).fill(1)], []);
    const probes = await tridiagonals(denseOperator(flat), {
      ...options,
      probe: rademacher(40, 1),
      probes: 3,
    });
    for (const probe of probes) {
      expect(probe.alphas).toHaveLength(2);
      const { nodes, weights, residuals } = quadrature(probe, symmetricEigen);
      expect(nodes[0]).toBeCloseTo(1, 13);
      expect(nodes[1]).toBeCloseTo(3, 13);
      expect(weights[0]).toBeCloseTo(1 / 4, 13);
      expect([...residuals]).toEqual([0, 0]);
    }
  });
});

describe('trace', () => {
  /** Of 40 seeds, how many times the error is within two standard errors: about 38 for normal estimates. */
  async function coverage(
    estimate: (seed: number) => Promise<{ value: number; standardError: number | undefined }>,
  ) {
    const errors: number[] = [];
    let within = 0;
    for (let seed = 0; seed < 40; seed += 1) {
      const { value, standardError } = await estimate(seed);
      errors.push(value - trace);
      if (Math.abs(value - trace) <= 2 * standardError!) within += 1;
    }
    const mean = errors.reduce((sum, error) => sum + error, 0) / 40;
    return { within, mean, deviation: Math.hypot(...errors) / Math.sqrt(40) };
  }

  it('hutchinson, hutchPlusPlus: unbiased, their standard errors are those of 40 seeds, Hutch++ is closer', async () => {
    const plain = await coverage(async (seed) =>
      hutchinson(
        await tridiagonals(denseOperator(matrix), {
          ...options,
          probe: rademacher(size, seed),
          steps: 1,
          probes: 30,
        }),
      ),
    );
    const better = await coverage((seed) =>
      hutchPlusPlus(denseOperator(matrix), { probe: rademacher(size, seed), probes: 30 }),
    );
    for (const { within, mean, deviation } of [plain, better]) {
      // With 30 and with 10 probes, Student's t: 0.95 and 0.92 within two standard errors; binomial, three deviations.
      expect(within).toBeGreaterThanOrEqual(29);
      expect(Math.abs(mean)).toBeLessThan((3 * deviation) / Math.sqrt(40));
    }
    // Hutchinson's variance is 2·Σ_{i≠j} H_ij² / m.
    const off = matrix.flatMap((row, i) => row.filter((_, j) => i !== j)).reduce((sum, h) => sum + h * h, 0);
    expect(plain.deviation / Math.sqrt((2 * off) / 30)).toBeGreaterThan(0.75);
    expect(plain.deviation / Math.sqrt((2 * off) / 30)).toBeLessThan(1.25);
    expect(better.deviation).toBeLessThan(plain.deviation / 4);
  });

  it('hutchPlusPlus: exact in two passes where the rank is below a third of the probes', async () => {
    const low = withSpectrum([5, 3, -1, ...new Array<number>(30).fill(0)], reflections(33, 2));
    const operator = denseOperator(low);
    const { value, standardError } = await hutchPlusPlus(operator, { probe: rademacher(33, 1), probes: 15 });
    expect(operator.products).toBe(2);
    expect(Math.abs(value - 7)).toBeLessThan(1e-12);
    expect(standardError).toBeLessThan(1e-12);
  });
});

describe('logDeterminant', () => {
  it('logDeterminant: within its error bars of the dense value, for several λ', async () => {
    const probes = await tridiagonals(denseOperator(matrix), { ...options, probes: 30 });
    for (const damping of [0, 0.1, 10]) {
      const exact = spectrum.reduce((sum, value) => sum + Math.log(value + damping), 0);
      const { value, standardError, truncation } = logDeterminant(probes, damping, symmetricEigen)!;
      expect(Math.abs(value - exact)).toBeLessThan(2.5 * standardError! + truncation);
      expect(standardError).toBeLessThan(0.1 * Math.abs(exact));
      expect(truncation).toBeLessThan(1e-3);
    }
  });

  it('logDeterminant: a multiple of the identity is exact; an indefinite matrix has none', async () => {
    const flat = withSpectrum(new Array<number>(12).fill(3), []);
    const probe = rademacher(12, 1);
    const exact = logDeterminant(
      await tridiagonals(denseOperator(flat), { ...options, probe }),
      1,
      symmetricEigen,
    )!;
    expect(exact.value).toBeCloseTo(12 * Math.log(4), 12);
    expect(exact.standardError).toBeLessThan(1e-13);
    const indefinite = withSpectrum([-1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], reflections(12, 1));
    const probes = await tridiagonals(denseOperator(indefinite), { ...options, probe });
    expect(logDeterminant(probes, 0.5, symmetricEigen)).toBeUndefined();
    expect(logDeterminant(probes, 1.5, symmetricEigen)).toBeDefined();
  });
});

describe('spectralDensity', () => {
  it('spectralDensity: mass and moments are those of the spectrum, the curve integrates to 1', async () => {
    const probes = await tridiagonals(denseOperator(matrix), { ...options, probes: 40 });
    const { nodes, weights, eigenvalues, density } = spectralDensity(
      probes.map((probe) => quadrature(probe, symmetricEigen)),
    );
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
    expect(nodes).toEqual([...nodes].sort((a, b) => a - b));
    // 74 of 80 eigenvalues are in the bulk; a probe's weight has a deviation of about √(2/p)·…, 0.02 over 40 probes.
    const bulk = nodes.reduce((sum, node, j) => sum + (node < 0.5 ? weights[j]! : 0), 0);
    expect(Math.abs(bulk - 74 / 80)).toBeLessThan(0.02);
    const step = eigenvalues[1]! - eigenvalues[0]!;
    expect(density.reduce((sum, value) => sum + value * step, 0)).toBeCloseTo(1, 3);
    const mean = density.reduce((sum, value, i) => sum + value * eigenvalues[i]! * step, 0);
    const ofNodes = nodes.reduce((sum, node, j) => sum + node * weights[j]!, 0);
    expect(Math.abs(mean / ofNodes - 1)).toBeLessThan(1e-3);
  });

  it('spectralDensity: a single eigenvalue is one peak at it', () => {
    const at = { nodes: Float64Array.of(2), weights: Float64Array.of(1), residuals: Float64Array.of(0) };
    const { eigenvalues, density } = spectralDensity([at]);
    const peak = density.indexOf(Math.max(...density));
    expect(Math.abs(eigenvalues[peak]! - 2)).toBeLessThan(0.01);
  });
});
