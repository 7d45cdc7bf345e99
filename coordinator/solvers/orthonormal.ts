import { addCombinations, gram } from './panels.js';
import { basisOf } from './small-dense.js';
import { norm, row } from './vectors.js';

/** Sine, squared, of the angle below which a Gram matrix (rounding about 1e-16·√p) does not tell a new direction. */
const told = 1e-12;
/** What remains of a vector in the span of others, beside it. */
const rounding = 1e-13;
/**
 * An orthonormal basis of the span of some vectors, a row each; none for vectors that are all zero. Cholesky's
 * factorisation of the Gram matrix with pivoting, which reads the vectors twice however many they are; what it cannot tell
 * from zero is seen to again, after what is known was taken off it. Writes to the vectors.
 * @param block as long as all vectors together: the basis is written to the front of it
 * @param lengths of what the vectors were made of: a part outside the span of the others that is rounding beside that, or
 * beside the vector itself, is none
 */
export function orthonormal(
  vectors: readonly Float64Array[],
  lengths: readonly number[],
  block: Float64Array,
): Float64Array {
  const size = vectors[0]!.length;
  const basis: Float64Array[] = [];
  const least = new Map<Float64Array, number>();
  let left = vectors;
  while (left.length > 0) {
    const room = vectors.length - basis.length;
    const products = gram(left, left);
    if (least.size === 0)
      vectors.forEach((vector, i) => {
        const length = Math.sqrt(products[i * vectors.length + i]!);
        least.set(vector, rounding * Math.max(length, lengths[i]!));
      });
    const { weights, rank } = basisOf(products, left.length, room, told);
    const found = Array.from({ length: rank }, (_, i) => row(block, basis.length + i, size));
    addCombinations(found, 1, weights, left, 'nothing');
    basis.push(...found);
    if (rank === 0 || rank === left.length || rank === room) break;
    for (let twice = 0; twice < 2; twice += 1) addCombinations(left, -1, gram(basis, left), basis);
    left = left.filter((vector) => norm(vector) > least.get(vector)!);
  }
  return block.subarray(0, basis.length * size);
}
