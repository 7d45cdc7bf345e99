import { addCombinations, gram } from './panels.js';
import type { Preconditioner } from './preconditioner.js';
import { cholesky } from './small-dense.js';
import type { SmallEigensolver } from './small-eigen.js';
import type { Operator } from './types.js';
import { addScaled, dot, row } from './vectors.js';

/** Vectors of the first sketch, as requests make it. */
export const firstRank = 16;

export interface NystromOptions {
  /** λ that the rank is chosen for. */
  damping: number;
  /** The first sketch, doubled until it is large enough. */
  firstRank: number;
  maximumRank: number;
  /** Whether a sketch of that rank with that last eigenvalue is worth doubling. Default: as the eigenvalues say. */
  worthDoubling?: ((rank: number, last: number) => boolean) | undefined;
  /** Normal random vector number `index`, length p. */
  random: (index: number) => Float64Array;
  eigensolver: SmallEigensolver;
  signal?: AbortSignal | undefined;
}

/** H ≈ UᵀΛU with orthonormal rows of U. */
export interface LowRank {
  /** Λ, descending. */
  values: Float64Array;
  /** U, rank × p. */
  vectors: Float64Array[];
  /** Vectors multiplied. */
  products: number;
}

/** Relative rounding of products, by which a sketch of a singular H may look indefinite. */
const rounding = 2.4e-7;
/** The sketch is large enough once its last eigenvalue is not above this times λ … */
const aboveDamping = 10;
/** … or doubling it has not brought that value down by this factor: the rest of the spectrum is flat. */
const flat = 2;

/**
 * A randomised Nyström approximation (Frangella, Tropp & Udell 2021, algorithm 2.1): with Y = HΩ for normal Ω,
 * H ≈ Y(ΩᵀY)⁻¹Yᵀ, computed for H + νI to be stable and ν taken off the eigenvalues. The rank is doubled until the last eigenvalue is at most
 * 10·λ (their section 5.4), or no longer falls; the vectors multiplied before are kept.
 *
 * What differs: ν begins at the rounding of float32 products, and grows where H is indefinite until H + νI is not, as far
 * as the sketch sees; so the approximation is always positive semidefinite. Memory: 3·rank·p float64 values.
 */
export async function nystrom(operator: Operator, options: NystromOptions): Promise<LowRank> {
  const { size } = operator;
  const most = Math.min(size, options.maximumRank);
  const probes: Float64Array[] = [];
  const images: Float64Array[] = [];
  let last = Infinity;
  for (let rank = Math.min(most, options.firstRank); ; rank = Math.min(most, 2 * rank)) {
    options.signal?.throwIfAborted();
    const block = new Float64Array((rank - probes.length) * size);
    const before = probes.length;
    for (let k = before; k < rank; k += 1) {
      const probe = row(block, k - before, size);
      probe.set(options.random(k));
      probes.push(probe);
    }
    const product = await operator.multiply(block, rank - before);
    for (let k = before; k < rank; k += 1) images.push(row(product, k - before, size));
    const { values, vectors } = approximate(probes, images, options.eigensolver);
    const smallest = values.length < rank ? 0 : values.at(-1)!;
    const worth = options.worthDoubling?.(rank, smallest) ?? true;
    if (rank === most || smallest <= aboveDamping * options.damping || smallest > last / flat || !worth)
      return { values, vectors, products: rank };
    last = smallest;
  }
}

function approximate(probes: Float64Array[], images: Float64Array[], eigensolver: SmallEigensolver) {
  const rank = probes.length;
  const [zz, zy, yy] = [gram(probes, probes), gram(probes, images), gram(images, images)];
  const frobenius = Math.sqrt(images.reduce((sum, image) => sum + dot(image, image), 0));
  if (!Number.isFinite(frobenius)) return { values: new Float64Array(0), vectors: [] };
  for (let shift = rounding * (frobenius || 1); ; shift *= 10) {
    // Of Y + νΩ, from those of Y and Ω.
    const core = zy.map((_, at) => {
      const [i, j] = [Math.floor(at / rank), at % rank];
      return (zy[at]! + zy[j * rank + i]!) / 2 + shift * zz[at]!;
    });
    const { lower, rank: full } = cholesky(core, rank);
    if (full < rank) continue;
    const square = yy.map((_, at) => {
      const [i, j] = [Math.floor(at / rank), at % rank];
      return yy[at]! + shift * (zy[at]! + zy[j * rank + i]!) + shift * shift * zz[at]!;
    });
    // BBᵀ with B = L⁻¹(Y + νΩ): its eigenvalues are those of H + νI, its eigenvectors W give U = σ⁻¹·Wᵀ·B.
    const inverse = inverseOf(lower, rank);
    const { values, vectors } = eigensolver(congruent(inverse, square, rank), rank);
    const kept = [...values.keys()].reverse().filter((k) => values[k]! > 1e-12 * values.at(-1)!);
    const weights = new Float64Array(rank * kept.length);
    kept.forEach((k, place) => {
      const scale = 1 / Math.sqrt(values[k]!);
      for (let i = 0; i < rank; i += 1) {
        let sum = 0;
        for (let j = i; j < rank; j += 1) sum += inverse[j * rank + i]! * vectors[k * rank + j]!;
        weights[i * kept.length + place] = sum * scale;
      }
    });
    const found = kept.map(() => new Float64Array(probes[0]!.length));
    addCombinations(found, 1, weights, images, 'nothing');
    addCombinations(
      found,
      1,
      weights.map((weight) => weight * shift),
      probes,
    );
    return { values: Float64Array.from(kept, (k) => Math.max(0, values[k]! - shift)), vectors: found };
  }
}

/** L⁻¹ of a lower triangular matrix. */
function inverseOf(lower: Float64Array, n: number): Float64Array {
  const inverse = new Float64Array(n * n);
  for (let j = 0; j < n; j += 1)
    for (let i = j; i < n; i += 1) {
      let sum = i === j ? 1 : 0;
      for (let k = j; k < i; k += 1) sum -= lower[i * n + k]! * inverse[k * n + j]!;
      inverse[i * n + j] = sum / lower[i * n + i]!;
    }
  return inverse;
}

/** T·S·Tᵀ */
function congruent(t: Float64Array, s: Float64Array, n: number): Float64Array {
  const rows = (matrix: Float64Array) => Array.from({ length: n }, (_, i) => row(matrix, i, n));
  return gram(rows(gram(rows(t), rows(s))), rows(t));
}

/**
 * M⁻¹ = (λ_r + λ)·Uᵀ(Λ + λ)⁻¹U + (I − UᵀU), λ_r the last of the eigenvalues (their equation 5.3): what lies outside the
 * approximation counts as λ_r + λ. With a rank of twice the effective dimension the condition number is at most about 28.
 */
export function lowRankPreconditioner({ values, vectors }: LowRank, damping: number): Preconditioner {
  const last = (values.at(-1) ?? 0) + damping;
  const gains = values.map((value) => (last > 0 ? last / (value + damping) : 1) - 1);
  return {
    apply(residuals, into) {
      residuals.forEach((residual, k) => {
        const z = into[k]!;
        z.set(residual);
        vectors.forEach((vector, i) => addScaled(z, gains[i]! * dot(vector, residual), vector));
      });
    },
  };
}
