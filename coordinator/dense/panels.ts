import type { MatrixProduct } from './matrix-product.js';

/** Columns of a panel: what a blocked factorisation does at once, and small enough for a cache. */
export const panelWidth = 128;

/** A factorised matrix A. */
export interface Factor {
  kind: 'cholesky' | 'lu';
  /** A⁻¹ times each of `count` vectors, the rows of `block`, as rows of a new array. */
  solve(block: Float64Array, count: number): Promise<Float64Array>;
}

/** Columns start…end−1 of a matrix, row by row from row `first` on. */
export interface Panel {
  start: number;
  end: number;
  width: number;
  first: number;
  values: Float64Array;
}

/** Cuts a matrix (size × size, row by row) into panels, from the diagonal down (`lower`) or whole. */
export function cutPanels(matrix: Float64Array, size: number, lower: boolean): Panel[] {
  return Array.from({ length: Math.ceil(size / panelWidth) }, (_, k) => {
    const start = k * panelWidth;
    const end = Math.min(start + panelWidth, size);
    const width = end - start;
    const first = lower ? start : 0;
    const values = new Float64Array((size - first) * width);
    for (let i = first; i < size; i++)
      values.set(matrix.subarray(i * size + start, i * size + end), (i - first) * width);
    return { start, end, width, first, values };
  });
}

/** Rows from…to−1 of a panel, as a view. */
export function rowsOf({ values, first, width }: Panel, from: number, to?: number): Float64Array {
  return values.subarray((from - first) * width, to === undefined ? undefined : (to - first) * width);
}

export function subtract(from: Float64Array, values: Float64Array): void {
  for (let i = 0; i < values.length; i++) from[i]! -= values[i]!;
}

/** The transpose of a matrix of `columns` columns. */
export function transposed(matrix: Float64Array, columns: number): Float64Array {
  const rows = matrix.length / columns;
  const result = new Float64Array(matrix.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) result[j * rows + i] = matrix[i * columns + j]!;
  return result;
}

/** L⁻¹ of a lower triangle, by forward substitution; what stands above the diagonal is not read. */
export function invertLower(lower: Float64Array, size: number): Float64Array {
  const inverse = new Float64Array(size * size);
  for (let j = 0; j < size; j++)
    for (let i = j; i < size; i++) {
      let sum = i === j ? 1 : 0;
      for (let k = j; k < i; k++) sum -= lower[i * size + k]! * inverse[k * size + j]!;
      inverse[i * size + j] = sum / lower[i * size + i]!;
    }
  return inverse;
}

/** Right-hand sides (count × size) whose columns are read and written by panel. */
export class RightHandSides {
  readonly values: Float64Array;
  readonly #count: number;
  readonly #size: number;

  constructor(values: Float64Array, count: number) {
    this.values = values;
    this.#count = count;
    this.#size = values.length / count;
  }

  read(start: number, end: number): Float64Array {
    const part = new Float64Array(this.#count * (end - start));
    for (let k = 0; k < this.#count; k++)
      part.set(this.values.subarray(k * this.#size + start, k * this.#size + end), k * (end - start));
    return part;
  }

  write(start: number, part: Float64Array): void {
    const width = part.length / this.#count;
    for (let k = 0; k < this.#count; k++)
      this.values.set(part.subarray(k * width, (k + 1) * width), k * this.#size + start);
  }

  /** B(start…) −= Y·Mᵀ for Y (count × inner) and M (rows × inner). */
  async subtractProduct(
    start: number,
    y: Float64Array,
    m: Float64Array,
    inner: number,
    product: MatrixProduct,
  ): Promise<void> {
    if (m.length === 0) return;
    const part = this.read(start, start + m.length / inner);
    subtract(part, await product(y, m, inner));
    this.write(start, part);
  }
}
