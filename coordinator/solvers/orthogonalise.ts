import { addScaled, dot, norm } from './vectors.js';

/** What is left of a vector this small beside what it was is rounding. */
const rounding = 1e-12;

/**
 * Makes w orthogonal to the orthonormal vectors of a basis, in place, by classical Gram–Schmidt done twice, which is
 * enough (Giraud, Langou, Rozložník & van den Eshof 2005).
 * @returns the coefficients Qᵀw that were taken out
 */
export function orthogonalise(basis: readonly Float64Array[], w: Float64Array): Float64Array {
  const taken = new Float64Array(basis.length);
  for (let round = 0; round < 2; round += 1) {
    const coefficients = basis.map((q) => dot(q, w));
    basis.forEach((q, i) => {
      addScaled(w, -coefficients[i]!, q);
      taken[i]! += coefficients[i]!;
    });
  }
  return taken;
}

/** Scales w to length 1 in place and returns its length; 0, and w as it is, where it is rounding beside `before`. */
export function normalise(w: Float64Array, before: number): number {
  const length = norm(w);
  if (!(length > rounding * before)) return 0;
  for (let i = 0; i < w.length; i += 1) w[i]! /= length;
  return length;
}
