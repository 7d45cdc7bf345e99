import { absoluteSum } from '../solvers/vectors.js';

/**
 * An estimate of κ₁(A) = ‖A‖₁·‖A⁻¹‖₁ of a symmetric matrix of which products with A⁻¹ are known, from below and seldom by
 * more than a factor 3: Hager 1984 with Higham's (1988, algorithm 4.1) second guess, as LAPACK's dlacn2, at most 11 products.
 */
export async function conditionNumber(
  norm: number,
  size: number,
  solve: (vector: Float64Array) => Promise<Float64Array>,
): Promise<number> {
  let x = new Float64Array(size).fill(1 / size);
  let estimate = 0;
  let index = -1;
  for (let step = 0; step < 5; step++) {
    const y = await solve(x);
    const sum = absoluteSum(y);
    if (step > 0 && !(sum > estimate)) break;
    estimate = sum;
    const z = await solve(y.map((value) => (value < 0 ? -1 : 1)));
    const largest = z.reduce((best, value, i) => (Math.abs(value) > Math.abs(z[best]!) ? i : best), 0);
    const along = z.reduce((total, value, i) => total + value * x[i]!, 0);
    if (largest === index || Math.abs(z[largest]!) <= along) break;
    index = largest;
    x = new Float64Array(size);
    x[index] = 1;
  }
  const alternating = Float64Array.from(
    { length: size },
    (_, i) => (i % 2 === 0 ? 1 : -1) * (1 + i / Math.max(1, size - 1)),
  );
  const second = (2 * absoluteSum(await solve(alternating))) / (3 * size);
  return norm * Math.max(estimate, second);
}
