/** Of a small symmetric matrix: eigenvalues ascending, and orthonormal eigenvectors, that of value i in row i. */
export interface SmallEigen {
  values: Float64Array;
  vectors: Float64Array;
}

/** Solves a dense symmetric eigenproblem of some hundred rows at most (size × size, by rows). */
export type SmallEigensolver = (matrix: Float64Array, size: number) => SmallEigen;
