import type { SmallEigen, SmallEigensolver } from './small-eigen.js';

/** How many eigenpairs of which end; `magnitude` those of the largest |θ|, in place of the two ends. */
export interface Wanted {
  largest: number;
  smallest: number;
  magnitude?: number;
}

export interface RitzPairs extends SmallEigen {
  residuals: Float64Array;
  /** max|θ| */
  largest: number;
}

const none = new Float64Array(0);
export const noPairs: RitzPairs = { values: none, vectors: none, residuals: none, largest: 0 };

/**
 * Ritz pairs of T's first `done` rows (`stride` values a row), with ‖Hx − θx‖ of each: the norm of R·y over the
 * components y that the last block has, R's columns being `coupling`.
 */
export function ritzPairs(
  projected: Float64Array,
  done: number,
  stride: number,
  coupling: readonly number[][],
  eigensolver: SmallEigensolver,
): RitzPairs {
  const matrix = new Float64Array(done * done);
  for (let i = 0; i < done; i += 1) matrix.set(projected.subarray(i * stride, i * stride + done), i * done);
  const { values, vectors } = eigensolver(matrix, done);
  const first = done - coupling.length;
  const rows = Math.max(0, ...coupling.map((column) => column.length));
  const residuals = values.map((_, i) => {
    let square = 0;
    for (let r = 0; r < rows; r += 1) {
      const sum = coupling.reduce(
        (all, column, k) => all + (column[r] ?? 0) * vectors[i * done + first + k]!,
        0,
      );
      square += sum * sum;
    }
    return Math.sqrt(square);
  });
  return { values, vectors, residuals, largest: values.reduce((most, v) => Math.max(most, Math.abs(v)), 0) };
}

/** Indices of ascending values: the wanted ones, then the others in the order in which they are worth keeping. */
export function wantedFirst(values: Float64Array, { largest, smallest, magnitude }: Wanted): number[] {
  const ascending = [...values.keys()];
  if (magnitude) return ascending.sort((a, b) => Math.abs(values[b]!) - Math.abs(values[a]!));
  const top = ascending.slice().reverse().slice(0, largest);
  const bottom = ascending.slice(0, Math.min(smallest, values.length - top.length));
  const rest = ascending.slice(bottom.length, values.length - top.length);
  const others: number[] = [];
  while (rest.length > 0) {
    if (largest > 0) others.push(rest.pop()!);
    if (smallest > 0 && rest.length > 0) others.push(rest.shift()!);
  }
  return [...top, ...bottom, ...others];
}
