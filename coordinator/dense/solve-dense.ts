import { cholesky } from './cholesky.js';
import { conditionNumber } from './condition.js';
import { lu } from './lu.js';
import { openMatrixProduct } from './matrix-product.js';

export interface DenseSystem {
  /** p × p float64, shared: as the products gave it; on return symmetric, with λ on its diagonal. */
  matrix: SharedArrayBuffer;
  size: number;
  damping: number;
  rightHandSides: Float64Array;
  count: number;
}

export interface DenseSolution {
  solutions: Float64Array;
  /** Whether A was positive definite. */
  definite: boolean;
  /** κ₁ of A, an estimate; not finite where A is singular. */
  conditionNumber: number;
  /** What multiplied the blocks. */
  arithmetic: string;
}

/** (H + λI)⁻¹ V in float64: Cholesky, or LU with pivots where H + λI is not positive definite. A thread's task. */
export async function solveDense(system: DenseSystem): Promise<DenseSolution> {
  const { size, damping, rightHandSides, count } = system;
  const matrix = new Float64Array(system.matrix);
  const norm = symmetrise(matrix, size, damping);
  const { product, by } = await openMatrixProduct();
  const definite = await cholesky(matrix, size, product);
  const factor = definite ?? (await lu(matrix, size, product));
  return {
    solutions: await factor.solve(rightHandSides, count),
    definite: definite !== undefined,
    conditionNumber: await conditionNumber(norm, size, (vector) => factor.solve(vector, 1)),
    arithmetic: by,
  };
}

/** A ← (A + Aᵀ)/2 + λI; returns ‖A‖₁. */
function symmetrise(matrix: Float64Array, size: number, damping: number): number {
  const sums = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < i; j++) {
      const value = (matrix[i * size + j]! + matrix[j * size + i]!) / 2;
      matrix[i * size + j] = matrix[j * size + i] = value;
      sums[i]! += Math.abs(value);
      sums[j]! += Math.abs(value);
    }
    matrix[i * size + i]! += damping;
    sums[i]! += Math.abs(matrix[i * size + i]!);
  }
  return sums.reduce((most, sum) => Math.max(most, sum), 0);
}
