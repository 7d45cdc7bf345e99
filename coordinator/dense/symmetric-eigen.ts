import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import type { SmallEigensolver } from '../solvers/small-eigen.js';

/** By Householder tridiagonalisation and QL iterations (EISPACK's tred2 and tql2), in float64. */
export const symmetricEigen: SmallEigensolver = (matrix, size) => {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(
    Matrix.from1DArray(size, size, matrix),
    { assumeSymmetric: true },
  );
  const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[a]! - realEigenvalues[b]!);
  const vectors = new Float64Array(size * size);
  for (const [to, from] of order.entries())
    for (let i = 0; i < size; i++) vectors[to * size + i] = eigenvectorMatrix.get(i, from);
  return { values: Float64Array.from(order, (from) => realEigenvalues[from]!), vectors };
};
