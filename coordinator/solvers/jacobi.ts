import type { Preconditioner } from './preconditioner.js';
import type { Operator } from './types.js';

/** An estimate of a diagonal, and the standard error of each value (0 where it is exact). */
export interface Diagonal {
  values: Float64Array;
  errors: Float64Array;
  /** Vectors multiplied, all of them in one pass. */
  products: number;
}

/**
 * The diagonal of H as the mean of z ⊙ Hz over random signs z (Hutchinson's probes; Bekas, Kokiopoulou & Saad 2007): each
 * value is off by the root of Σⱼ H²ᵢⱼ (j ≠ i) over the probes. Where there are no fewer probes than parameters it takes unit
 * vectors in their place, and is exact.
 */
export async function estimateDiagonal(
  operator: Operator,
  probes: number,
  signs: (index: number) => Float64Array,
): Promise<Diagonal> {
  const { size, multiply } = { size: operator.size, multiply: operator.multiply.bind(operator) };
  const exact = probes >= size;
  const count = exact ? size : probes;
  const block = new Float64Array(count * size);
  for (let k = 0; k < count; k += 1)
    if (exact) block[k * size + k] = 1;
    else block.set(signs(k), k * size);
  const product = await multiply(block, count);
  const [values, errors] = [new Float64Array(size), new Float64Array(size)];
  if (exact) {
    for (let i = 0; i < size; i += 1) values[i] = product[i * size + i]!;
    return { values, errors, products: count };
  }
  for (let k = 0; k < count; k += 1)
    for (let i = 0; i < size; i += 1) values[i]! += (block[k * size + i]! * product[k * size + i]!) / count;
  for (let k = 0; k < count; k += 1)
    for (let i = 0; i < size; i += 1)
      errors[i]! += (block[k * size + i]! * product[k * size + i]! - values[i]!) ** 2;
  for (let i = 0; i < size; i += 1) errors[i] = Math.sqrt(errors[i]! / (count * Math.max(1, count - 1)));
  return { values, errors, products: count };
}

/** M = diag(|H|) + λI; a value that its error could make zero counts as that error, so that M is positive definite. */
export function jacobi({ values, errors }: Diagonal, damping: number): Preconditioner {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const least = 1e-7 * (largest || 1);
  const inverse = values.map((value, i) => 1 / (Math.max(Math.abs(value), errors[i]!, least) + damping));
  return {
    apply(residuals, into) {
      residuals.forEach((residual, k) => {
        const z = into[k]!;
        for (let i = 0; i < z.length; i += 1) z[i] = residual[i]! * inverse[i]!;
      });
    },
  };
}
