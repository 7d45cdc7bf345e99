import type { Eigenpairs } from './lanczos.js';
import { addScaled, countRows, dot, row } from './vectors.js';

/**
 * (H + λI)⁻¹ V from r eigenpairs of H, no product needed: with H ≈ QΛQᵀ + c·(I − QQᵀ),
 *
 *   s = Q(Λ + λ)⁻¹Qᵀv + (v − QQᵀv)/(c + λ).
 *
 * Arnoldi's route to influence functions (Schioppa, Zablotskaia, Vilar & Sokolov 2022) keeps the first term alone, which is
 * c = ∞ here. The residual is (H − c)·(v − QQᵀv)/(c + λ), but for that of the pairs: it is small where v lies in the span of
 * Q, or where c is about right for the rest of the spectrum. Where that lies within [a, b], a + λ > 0, the worst of
 * |μ − c|/(c + λ) is least at c = (a + b)/2, where it is (b − a)/(b + a + 2λ) < 1.
 * @param complement c; Infinity drops what the pairs do not span
 * @returns K × p, a solution a row
 */
export function lowRankSolutions(
  { values, vectors }: Pick<Eigenpairs, 'values' | 'vectors'>,
  rightHandSides: Float64Array,
  damping: number,
  complement: number,
): Float64Array {
  const size = vectors.length / values.length;
  const count = countRows(rightHandSides, size);
  const outside = 1 / (complement + damping);
  const solutions = rightHandSides.map((v) => v * outside);
  for (let k = 0; k < count; k += 1) {
    const v = row(rightHandSides, k, size);
    const s = row(solutions, k, size);
    values.forEach((value, i) => {
      const q = row(vectors, i, size);
      addScaled(s, (1 / (value + damping) - outside) * dot(q, v), q);
    });
  }
  return solutions;
}
