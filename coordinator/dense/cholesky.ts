import { CholeskyDecomposition, Matrix } from 'ml-matrix';
import type { MatrixProduct } from './matrix-product.js';
import {
  cutPanels,
  invertLower,
  RightHandSides,
  rowsOf,
  subtract,
  transposed,
  type Factor,
  type Panel,
} from './panels.js';

/**
 * A = L·Lᵀ of a symmetric positive definite matrix, blocked and right-looking as LAPACK's dpotrf: ml-matrix factorises
 * the diagonal blocks, and everything else (p³/3 multiplications) is matrix products. Holds the lower half, p²/2 values.
 * Returns undefined where a pivot is not positive: A is not positive definite within rounding.
 */
export async function cholesky(
  matrix: Float64Array,
  size: number,
  product: MatrixProduct,
): Promise<Factor | undefined> {
  const panels = cutPanels(matrix, size, true);
  const inverses: Float64Array[] = [];
  for (const [k, panel] of panels.entries()) {
    const { start, end, width } = panel;
    const diagonal = new CholeskyDecomposition(symmetric(rowsOf(panel, start, end), width));
    if (!diagonal.isPositiveDefinite()) return undefined;
    const lower = Float64Array.from(diagonal.lowerTriangularMatrix.to1DArray());
    const inverse = invertLower(lower, width);
    inverses.push(inverse);
    rowsOf(panel, start).set(lower);
    if (end === size) break;
    rowsOf(panel, end).set(await product(rowsOf(panel, end), inverse, width));
    for (const other of panels.slice(k + 1))
      subtract(
        other.values,
        await product(rowsOf(panel, other.start), rowsOf(panel, other.start, other.end), width),
      );
  }
  return { kind: 'cholesky', solve: (block, count) => solve(panels, inverses, block, count, product) };
}

/** L·y = b from the first panel to the last, Lᵀ·x = y back. */
async function solve(
  panels: Panel[],
  inverses: Float64Array[],
  block: Float64Array,
  count: number,
  product: MatrixProduct,
): Promise<Float64Array> {
  const sides = new RightHandSides(block.slice(), count);
  const size = block.length / count;
  for (const [k, panel] of panels.entries()) {
    const { start, end, width } = panel;
    const y = await product(sides.read(start, end), inverses[k]!, width);
    sides.write(start, y);
    await sides.subtractProduct(end, y, rowsOf(panel, end), width, product);
  }
  for (const [k, panel] of [...panels.entries()].reverse()) {
    const { start, end, width } = panel;
    if (end < size)
      await sides.subtractProduct(
        start,
        sides.read(end, size),
        transposed(rowsOf(panel, end), width),
        size - end,
        product,
      );
    sides.write(start, await product(sides.read(start, end), transposed(inverses[k]!, width), width));
  }
  return sides.values;
}

/** The matrix of a lower triangle; what stands above the diagonal has other roundings, and is not read. */
function symmetric(lower: Float64Array, size: number): Matrix {
  const matrix = Matrix.zeros(size, size);
  for (let i = 0; i < size; i++)
    for (let j = 0; j <= i; j++) {
      matrix.set(i, j, lower[i * size + j]!);
      matrix.set(j, i, lower[i * size + j]!);
    }
  return matrix;
}
