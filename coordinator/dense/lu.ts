import { LuDecomposition, Matrix } from 'ml-matrix';
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

interface Triangles {
  /** L⁻¹ and U⁻¹ of the diagonal block. */
  lower: Float64Array;
  upper: Float64Array;
}

/**
 * P·A = L·U with partial pivoting, for a matrix that is not positive definite: blocked and right-looking as LAPACK's
 * dgetrf, the panels by ml-matrix and the rest by matrix products. Holds p² values. A singular matrix is not noticed
 * here: its solutions are not finite, or its condition number is.
 */
export async function lu(matrix: Float64Array, size: number, product: MatrixProduct): Promise<Factor> {
  const panels = cutPanels(matrix, size, false);
  const order = Int32Array.from({ length: size }, (_, i) => i);
  const triangles: Triangles[] = [];
  for (const [k, panel] of panels.entries()) {
    const { start, end, width } = panel;
    const below = new LuDecomposition(Matrix.from1DArray(size - start, width, rowsOf(panel, start)));
    const pivots = below.pivotPermutationVector;
    const lower = Float64Array.from(below.lowerTriangularMatrix.to1DArray());
    const upper = Float64Array.from(below.upperTriangularMatrix.to1DArray().slice(0, width * width));
    permute(order.subarray(start), pivots, 1);
    for (const other of panels) if (other !== panel) permute(rowsOf(other, start), pivots, other.width);
    rowsOf(panel, start).set(lower);
    const inverse = invertLower(lower, width);
    triangles.push({
      lower: inverse,
      upper: transposed(invertLower(transposed(upper, width), width), width),
    });
    for (const other of panels.slice(k + 1)) {
      const across = await product(inverse, transposed(rowsOf(other, start, end), other.width), width);
      rowsOf(other, start, end).set(across);
      if (end < size)
        subtract(
          rowsOf(other, end),
          await product(rowsOf(panel, end), transposed(across, other.width), width),
        );
    }
  }
  return {
    kind: 'lu',
    solve: (block, count) => solve(panels, triangles, order, block, count, product),
  };
}

async function solve(
  panels: Panel[],
  triangles: Triangles[],
  order: Int32Array,
  block: Float64Array,
  count: number,
  product: MatrixProduct,
): Promise<Float64Array> {
  const size = order.length;
  const permuted = block.map((_, i) => block[i - (i % size) + order[i % size]!]!);
  const sides = new RightHandSides(permuted, count);
  for (const [k, panel] of panels.entries()) {
    const { start, end, width } = panel;
    const y = await product(sides.read(start, end), triangles[k]!.lower, width);
    sides.write(start, y);
    await sides.subtractProduct(end, y, rowsOf(panel, end), width, product);
  }
  for (const [k, panel] of [...panels.entries()].reverse()) {
    const { start, end, width } = panel;
    const x = await product(sides.read(start, end), triangles[k]!.upper, width);
    sides.write(start, x);
    await sides.subtractProduct(0, x, rowsOf(panel, 0, start), width, product);
  }
  return sides.values;
}

/** Row i becomes what row `order[i]` was; rows of `width` values. */
function permute(values: Float64Array | Int32Array, order: number[], width: number): void {
  const before = values.slice();
  for (const [i, from] of order.entries())
    values.set(before.subarray(from * width, (from + 1) * width), i * width);
}
