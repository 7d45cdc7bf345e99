import type { KroneckerBlock } from '../../protocol/kronecker.js';
import type { Preconditioner } from '../solvers/preconditioner.js';
import type { SmallEigen } from '../solvers/small-eigen.js';

/** A block with the eigenpairs of its two factors. */
export interface FactoredBlock extends KroneckerBlock {
  input: SmallEigen;
  output: SmallEigen;
}

/**
 * M = ⊕ (Ā ⊗ Ḡ) + diag(l2) + λI over the layers (K-FAC, Martens & Grosse 2015), inverted exactly in the factors' eigenvectors:
 * R ↦ U·[(UᵀRQ) / (αᵢ·γⱼ + l2 + λ)]·Qᵀ (George et al. 2018, without their correction). l2 of a block is that of its kernel.
 * Parameters outside the blocks count by the mean of the blocks' diagonals. 4·rows·units·(rows + units) operations a block.
 */
export function kroneckerPreconditioner(
  blocks: readonly FactoredBlock[],
  l2: Float64Array,
  damping: number,
): Preconditioner {
  const traces = blocks.map(({ input, output }) => sum(input.values) * sum(output.values));
  const factored = blocks.reduce((all, { rows, units }) => all + rows * units, 0);
  const mean = factored === 0 ? 1 : sum(traces) / factored;
  return {
    apply(residual, into) {
      for (let i = 0; i < into.length; i++) into[i] = residual[i]! / (mean + l2[i]! + damping);
      for (const { offset, rows, units, input, output } of blocks) {
        const end = offset + rows * units;
        const along = multiply(
          input.vectors,
          multiplyTransposed(residual.subarray(offset, end), output.vectors, rows, units, units),
          rows,
          rows,
          units,
        );
        const shift = l2[offset]! + damping;
        for (let i = 0, at = 0; i < rows; i++)
          for (let j = 0; j < units; j++, at++)
            // Rounding may leave a value below zero.
            along[at]! /= Math.max(0, input.values[i]!) * Math.max(0, output.values[j]!) + shift;
        const back = multiply(along, output.vectors, rows, units, units);
        into.set(multiply(transposed(input.vectors, rows), back, rows, rows, units), offset);
      }
    },
  };
}

const sum = (values: ArrayLike<number>) => Array.from(values).reduce((all, value) => all + value, 0);

/** A·B, m × k by k × n. */
function multiply(a: Float64Array, b: Float64Array, m: number, k: number, n: number): Float64Array {
  const result = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let l = 0; l < k; l++) {
      const factor = a[i * k + l]!;
      for (let j = 0, into = i * n, from = l * n; j < n; j++) result[into + j]! += factor * b[from + j]!;
    }
  return result;
}

/** A·Bᵀ, m × k by n × k. */
function multiplyTransposed(a: Float64Array, b: Float64Array, m: number, n: number, k: number): Float64Array {
  const result = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) {
      let total = 0;
      for (let l = 0; l < k; l++) total += a[i * k + l]! * b[j * k + l]!;
      result[i * n + j] = total;
    }
  return result;
}

function transposed(matrix: Float64Array, n: number): Float64Array {
  return Float64Array.from(matrix, (_, at) => matrix[(at % n) * n + Math.floor(at / n)]!);
}
