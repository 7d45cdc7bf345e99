import type { Operator } from '../../coordinator/solvers/types.js';

/** Dense float64 matrices as rows: the independent reference for solvers. */
export type Matrix = number[][];

export const diagonal = (values: number[]): Matrix =>
  values.map((value, i) => values.map((_, j) => (i === j ? value : 0)));

export function times(matrix: Matrix, vector: ArrayLike<number>): number[] {
  return matrix.map((row) => row.reduce((sum, value, j) => sum + value * vector[j]!, 0));
}

/** A + λI */
export const shifted = (matrix: Matrix, damping: number): Matrix =>
  matrix.map((row, i) => row.map((value, j) => (i === j ? value + damping : value)));

/** A⁻¹ b for a symmetric positive definite A, by Cholesky. Throws when A is not. */
export function solveDense(matrix: Matrix, b: ArrayLike<number>): number[] {
  const n = matrix.length;
  const factor: Matrix = matrix.map((row) => row.map(() => 0));
  for (let i = 0; i < n; i += 1)
    for (let j = 0; j <= i; j += 1) {
      let sum = matrix[i]![j]!;
      for (let k = 0; k < j; k += 1) sum -= factor[i]![k]! * factor[j]![k]!;
      if (i === j && sum <= 0) throw new RangeError(`not positive definite at row ${i}`);
      factor[i]![j] = i === j ? Math.sqrt(sum) : sum / factor[j]![j]!;
    }
  const x = Array.from(b);
  for (let i = 0; i < n; i += 1) {
    for (let k = 0; k < i; k += 1) x[i]! -= factor[i]![k]! * x[k]!;
    x[i]! /= factor[i]![i]!;
  }
  for (let i = n - 1; i >= 0; i -= 1) {
    for (let k = i + 1; k < n; k += 1) x[i]! -= factor[k]![i]! * x[k]!;
    x[i]! /= factor[i]![i]!;
  }
  return x;
}

/** Q diag(values) Qᵀ with Q the product of Householder reflections along the given vectors. */
export function withSpectrum(values: number[], reflections: number[][]): Matrix {
  let matrix = diagonal(values);
  const reflect = (a: Matrix, u: number[]): Matrix => {
    const uu = u.reduce((sum, x) => sum + x * x, 0);
    return a.map((row) => {
      const along = (2 * row.reduce((sum, x, j) => sum + x * u[j]!, 0)) / uu;
      return row.map((x, j) => x - along * u[j]!);
    });
  };
  const transpose = (a: Matrix): Matrix => a.map((_, j) => a.map((row) => row[j]!));
  for (const u of reflections) matrix = transpose(reflect(transpose(reflect(matrix, u)), u));
  return matrix.map((row, i) => row.map((x, j) => (x + matrix[j]![i]!) / 2));
}

/** The matrix as an operator that counts its products and the vectors in them; `round` imitates a device. */
export function denseOperator(matrix: Matrix, round: (value: number) => number = (x) => x) {
  const size = matrix.length;
  const operator = {
    size,
    products: 0,
    vectors: 0,
    multiply(block: Float64Array, count: number): Promise<Float64Array> {
      if (block.length !== count * size)
        throw new RangeError(`${block.length} values, not ${count} × ${size}`);
      operator.products += 1;
      operator.vectors += count;
      const result = new Float64Array(block.length);
      for (let k = 0; k < count; k += 1)
        result.set(times(matrix, block.subarray(k * size, (k + 1) * size).map(round)).map(round), k * size);
      return Promise.resolve(result);
    },
  };
  return operator satisfies Operator;
}

export const difference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.hypot(...Array.from(a, (x, i) => x - b[i]!));

export const relativeError = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  difference(a, b) / Math.hypot(...Array.from(b));
