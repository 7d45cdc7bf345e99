import { symmetricEigen } from './symmetric-eigen.js';

/** A thread's task: the eigenproblem of one symmetric matrix. */
export default function eigen({ matrix, size }: { matrix: Float64Array; size: number }) {
  return symmetricEigen(matrix, size);
}
