import { normalise, orthogonalise } from './orthogonalise.js';
import type { SmallEigensolver } from './small-eigen.js';
import type { Operator, SolverOptions } from './types.js';
import { norm } from './vectors.js';

/** T = QᵀHQ of one probe's Krylov space: `alphas` on its diagonal, `betas[j]` between j and j+1, the last one left over. */
export interface Tridiagonal {
  alphas: number[];
  betas: number[];
  /** ‖z‖² */
  square: number;
}

/** Σⱼ weights[j]·f(nodes[j]) ≈ zᵀf(H)z / ‖z‖²; the weights sum to 1. */
export interface Quadrature {
  /** Ritz values, ascending. */
  nodes: Float64Array;
  weights: Float64Array;
  /** ‖Hx − θx‖ of each node's Ritz vector. */
  residuals: Float64Array;
}

export interface ProbeOptions extends SolverOptions {
  /** Probe number `index`, p values; the random ones with independent ±1. */
  probe: (index: number) => Float64Array;
  probes: number;
  /** Products of each probe: degree of the quadrature is 2·steps − 1. */
  steps: number;
  /** Vectors of float64 kept at most; probes beyond that wait for others to end. At least the steps of one. */
  vectors: number;
}

/**
 * The Lanczos recursion from several probes at once, all that are at work sharing each pass, with full
 * reorthogonalisation (Golub & Meurant 2010; Ubaru, Chen & Saad 2017). A probe whose Krylov space is
 * invariant ends early: its quadrature is exact.
 */
export async function tridiagonals(operator: Operator, options: ProbeOptions): Promise<Tridiagonal[]> {
  const { size } = operator;
  const steps = Math.min(options.steps, size);
  const together = Math.max(1, Math.floor(options.vectors / steps));
  const made: Tridiagonal[] = [];
  const passes = Math.ceil(options.probes / together) * steps;
  let iteration = 0;
  for (let first = 0; first < options.probes; first += together) {
    const columns = Array.from({ length: Math.min(together, options.probes - first) }, (_, k) =>
      start(options.probe(first + k)),
    );
    let active = columns;
    for (let step = 0; step < steps && active.length > 0; step += 1) {
      options.signal?.throwIfAborted();
      const block = new Float64Array(active.length * size);
      active.forEach(({ basis }, k) => block.set(basis.at(-1)!, k * size));
      const product = await operator.multiply(block, active.length);
      active = active.filter((column, k) => advance(column, product.slice(k * size, (k + 1) * size)));
      iteration += 1;
      options.onProgress?.({
        ...{ measure: 'residual', iteration, iterations: passes, products: iteration },
        ...{ residuals: [], worst: NaN },
      });
    }
    made.push(...columns.map(({ tridiagonal }) => tridiagonal));
  }
  return made;
}

interface Column {
  tridiagonal: Tridiagonal;
  basis: Float64Array[];
}

function start(probe: Float64Array): Column {
  const length = norm(probe);
  const q = probe.map((value) => value / length);
  return { tridiagonal: { alphas: [], betas: [], square: length * length }, basis: [q] };
}

/** One step of one probe, given H·q of its last vector; false where its Krylov space is invariant. */
function advance({ tridiagonal, basis }: Column, w: Float64Array): boolean {
  const before = norm(w);
  const taken = orthogonalise(basis, w);
  tridiagonal.alphas.push(taken.at(-1)!);
  const beta = normalise(w, before);
  tridiagonal.betas.push(beta);
  if (beta === 0) return false;
  basis.push(w);
  return true;
}

/** Gauss's quadrature of the first `steps` steps: nodes the eigenvalues of T, weights (first components)² (Golub & Welsch 1969). */
export function quadrature(
  { alphas, betas }: Tridiagonal,
  eigensolver: SmallEigensolver,
  steps = alphas.length,
): Quadrature {
  const size = Math.min(steps, alphas.length);
  const matrix = new Float64Array(size * size);
  for (let i = 0; i < size; i += 1) {
    matrix[i * size + i] = alphas[i]!;
    if (i > 0) matrix[i * size + i - 1] = matrix[(i - 1) * size + i] = betas[i - 1]!;
  }
  const { values, vectors } = eigensolver(matrix, size);
  return {
    nodes: values,
    weights: values.map((_, i) => vectors[i * size]! ** 2),
    residuals: values.map((_, i) => Math.abs(betas[size - 1]! * vectors[(i + 1) * size - 1]!)),
  };
}
