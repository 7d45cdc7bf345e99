/* Small dense symmetric matrices, n × n row by row, n a few dozen at most. */

/** A = L·Lᵀ up to a pivot that is not above zero. */
export interface Factor {
  /** Lower triangular, n × n; its first `rank` rows are there. */
  lower: Float64Array;
  /** n, or the row whose pivot is not above zero. */
  rank: number;
  /** That pivot. */
  pivot: number;
}

/** Cholesky's factor of a symmetric matrix, of which the lower triangle is read. */
export function cholesky(a: Float64Array, n: number): Factor {
  const lower = new Float64Array(n * n);
  for (let i = 0; i < n; i += 1)
    for (let j = 0; j <= i; j += 1) {
      let sum = a[i * n + j]!;
      for (let k = 0; k < j; k += 1) sum -= lower[i * n + k]! * lower[j * n + k]!;
      if (i > j) lower[i * n + j] = sum / lower[j * n + j]!;
      else if (sum > 0) lower[i * n + i] = Math.sqrt(sum);
      else return { lower, rank: i, pivot: sum };
    }
  return { lower, rank: n, pivot: 0 };
}

/** B ← (L·Lᵀ)⁻¹·B for the leading `rank` rows; B is rank × columns. */
export function solveFactored({ lower, rank }: Factor, n: number, b: Float64Array, columns: number): void {
  for (let c = 0; c < columns; c += 1) {
    for (let i = 0; i < rank; i += 1) {
      let sum = b[i * columns + c]!;
      for (let k = 0; k < i; k += 1) sum -= lower[i * n + k]! * b[k * columns + c]!;
      b[i * columns + c] = sum / lower[i * n + i]!;
    }
    for (let i = rank - 1; i >= 0; i -= 1) {
      let sum = b[i * columns + c]!;
      for (let k = i + 1; k < rank; k += 1) sum -= lower[k * n + i]! * b[k * columns + c]!;
      b[i * columns + c] = sum / lower[i * n + i]!;
    }
  }
}

/**
 * Which vectors of a Gram matrix span them all, and how to make an orthonormal basis of them: Cholesky's factorisation of the
 * matrix scaled to a unit diagonal, the largest pivot first, until a pivot falls below `tolerance` (the square of the sine
 * of the angle to the span of those before), or there are `most`.
 * @returns C, n × rank: the basis is Cᵀ times the vectors
 */
export function basisOf(
  gram: Float64Array,
  n: number,
  most: number,
  tolerance: number,
): { weights: Float64Array; rank: number } {
  const scale = Float64Array.from({ length: n }, (_, i) => {
    const square = gram[i * n + i]!;
    return square > 0 ? 1 / Math.sqrt(square) : 0;
  });
  const left = Float64Array.from(scale, (value) => (value > 0 ? 1 : 0));
  const order: number[] = [];
  /** Row k: the k-th basis vector as a combination of the scaled vectors. */
  const rows: Float64Array[] = [];
  const along = (weights: Float64Array, i: number) => {
    let sum = 0;
    for (let k = 0; k < n; k += 1) sum += weights[k]! * scale[k]! * gram[k * n + i]! * scale[i]!;
    return sum;
  };
  while (rows.length < most) {
    const next = left.reduce((best, value, i) => (value > left[best]! ? i : best), 0);
    if (!(left[next]! > tolerance)) break;
    order.push(next);
    const weights = new Float64Array(n);
    weights[next] = 1;
    const parts = rows.map((row) => along(row, next));
    rows.forEach((row, k) => row.forEach((value, i) => (weights[i]! -= parts[k]! * value)));
    const length = Math.sqrt(left[next]!);
    rows.push(weights.map((value) => value / length));
    for (let i = 0; i < n; i += 1) left[i] = Math.max(0, left[i]! - along(rows.at(-1)!, i) ** 2);
    for (const taken of order) left[taken] = 0;
  }
  const rank = rows.length;
  const weights = new Float64Array(n * rank);
  rows.forEach((row, k) => row.forEach((value, i) => (weights[i * rank + k] = value * scale[i]!)));
  return { weights, rank };
}
