import { workerData } from 'node:worker_threads';
import { move } from 'piscina';
import { KroneckerInverse, type KroneckerFactors } from './kronecker-inverse.js';
import { openMatrixProduct } from './matrix-product.js';

export interface Residuals {
  /** K × p */
  block: Float64Array;
  /** λ */
  damping: number;
}

const { product } = await openMatrixProduct();
const inverse = new KroneckerInverse(workerData as KroneckerFactors, product);

/** A thread's task: M⁻¹ of the rows of a block. */
export default async function applyInverse({ block, damping }: Residuals): Promise<Float64Array> {
  return move(await inverse.apply(block, damping)) as unknown as Float64Array;
}
