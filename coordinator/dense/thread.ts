import { move } from 'piscina';
import type { Tasks } from './in-thread.js';
import { KroneckerInverse } from './kronecker-inverse.js';
import { openMatrixProduct } from './matrix-product.js';
import { symmetricEigen } from './symmetric-eigen.js';

export { solveDense } from './solve-dense.js';

export const eigen: Tasks['eigen'] = (matrices) =>
  matrices.map(({ matrix, size }) => symmetricEigen(matrix, size));

let inverse: KroneckerInverse | undefined;

/** M⁻¹ of the rows of a block, for the factors that came last. */
export async function applyInverse({
  factors,
  block,
  damping,
}: Parameters<Tasks['applyInverse']>[0]): Promise<Float64Array> {
  if (factors) inverse = new KroneckerInverse(factors, (await openMatrixProduct()).product);
  return move(await inverse!.apply(block, damping)) as unknown as Float64Array;
}
