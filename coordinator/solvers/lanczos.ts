import { normalise, orthogonalise } from './orthogonalise.js';
import { noPairs, ritzPairs, wantedFirst, type RitzPairs, type Wanted } from './ritz.js';
import type { SmallEigensolver } from './small-eigen.js';
import type { Operator, SolverOptions } from './types.js';
import { addScaled, norm, row } from './vectors.js';

export interface LanczosOptions extends SolverOptions {
  wanted: Wanted;
  /** A pair has converged at ‖Hx − θx‖ ≤ tolerance·max|θ|. */
  tolerance: number;
  /** Passes over the data at most, the final check aside. */
  iterations: number;
  /** Vectors multiplied in each pass: 1 finds an eigenvalue of multiplicity m once, b finds it up to b times. */
  blockSize: number;
  /** Vectors kept, p float64 values each; default twice the wanted pairs and ten. */
  basisSize?: number;
  /** Random vector number `index`, length p, none of whose directions is preferred. */
  random: (index: number) => Float64Array;
  eigensolver: SmallEigensolver;
}

export interface Eigenpairs {
  /** θ: the largest in descending order, then the smallest in ascending; or by magnitude, descending. */
  values: Float64Array;
  /** A unit vector a row, in the order of the values. */
  vectors: Float64Array;
  /** ‖Hx − θx‖, computed anew: an eigenvalue of H is no farther from θ than that. */
  residuals: Float64Array;
  converged: boolean;
  /** Passes over the data, the final check included. */
  iterations: number;
  /** Vectors multiplied. */
  products: number;
}

/**
 * Extreme eigenpairs of a symmetric H by thick-restart Lanczos (Wu & Simon 2000) with full reorthogonalisation: the
 * Krylov basis Q grows by one block a pass, T = QᵀHQ; when it is full it is replaced by the Ritz vectors of the best
 * half, and the recursion goes on from the same residual block.
 *
 * What differs from the paper: T is made of all coefficients that the reorthogonalisation takes out, so that restart
 * and recursion are one formula; blocks of vectors (`blockSize`) for multiple eigenvalues; where the Krylov space is
 * invariant before enough pairs are there, it goes on from a random vector; and the residuals are computed anew at the
 * end, since those of the recursion do not know how float32 products round. They end at about 1e-7·‖H‖.
 * Memory: `basisSize` + `blockSize` vectors of float64.
 */
export async function lanczos(operator: Operator, options: LanczosOptions): Promise<Eigenpairs> {
  const { size } = operator;
  const { wanted, tolerance, eigensolver, signal } = options;
  const count = Math.min(size, wanted.largest + wanted.smallest + (wanted.magnitude ?? 0));
  const basisSize = Math.min(size, Math.max(options.basisSize ?? 2 * count + 10, count + options.blockSize));
  const basis: Float64Array[] = [];
  /** T, of which the first `done` rows and columns are known. */
  let projected = new Float64Array(basisSize * basisSize);
  let done = 0;
  let randoms = 0;
  let products = 0;
  let iterations = 0;
  let converged = false;
  let found: RitzPairs & { order: number[] } = { order: [], ...noPairs };

  /** Random vectors orthogonal to the basis, as far as the space has room for them. */
  function fresh(most: number): Float64Array[] {
    const added: Float64Array[] = [];
    while (added.length < most && basis.length + added.length < basisSize) {
      const vector = options.random(randoms++);
      const before = norm(vector);
      orthogonalise([...basis, ...added], vector);
      if (normalise(vector, before) > 0) added.push(vector);
    }
    return added;
  }

  let next = fresh(options.blockSize);
  while (next.length > 0) {
    signal?.throwIfAborted();
    const block = next;
    basis.push(...block);
    const product = await operator.multiply(joined(block, size), block.length);
    iterations += 1;
    products += block.length;
    next = [];
    // R of the residual block's QR factors: what couples the basis to the next block.
    const coupling = block.map((_, k) => {
      const vector = row(product, k, size);
      const before = norm(vector);
      const taken = orthogonalise([...basis, ...next], vector);
      for (let i = 0; i < basis.length; i += 1)
        projected[i * basisSize + done + k] = projected[(done + k) * basisSize + i] = taken[i]!;
      const length = normalise(vector, before);
      if (length > 0) next.push(vector);
      return [...taken.subarray(basis.length), ...(length > 0 ? [length] : [])];
    });
    done += block.length;

    const full = done + next.length > basisSize || next.length === 0;
    const last = iterations >= options.iterations;
    if (!full && !last && (done < count || iterations % Math.ceil(done / 8) > 0)) continue;
    const pairs = ritzPairs(projected, done, basisSize, coupling, eigensolver);
    found = { order: wantedFirst(pairs.values, wanted), ...pairs };
    const best = found.order.slice(0, count);
    const relative = best.map((i) => found.residuals[i]! / (found.largest || 1));
    converged = best.length === count && relative.every((residual) => residual <= tolerance);
    const worst = Math.max(...relative);
    options.onProgress?.({
      ...{ measure: 'residual', iteration: iterations, iterations: options.iterations },
      ...{ products: iterations, residuals: relative, worst },
    });
    if (converged || last) break;
    if (next.length === 0) next = fresh(options.blockSize);
    else if (full) {
      const keep = Math.min(found.order.length, Math.ceil((basisSize + count) / 2) - next.length);
      const kept = found.order.slice(0, Math.max(count, keep));
      const vectors = kept.map((i) => combined(basis, row(found.vectors, i, done), size));
      basis.splice(0, basis.length, ...vectors);
      projected = new Float64Array(basisSize * basisSize);
      kept.forEach((i, place) => (projected[place * basisSize + place] = found.values[i]!));
      done = kept.length;
    }
  }

  const best = found.order.slice(0, count);
  const values = Float64Array.from(best, (i) => found.values[i]!);
  const vectors = joined(
    best.map((i) => combined(basis, row(found.vectors, i, done), size)),
    size,
  );
  signal?.throwIfAborted();
  const images = await operator.multiply(vectors, best.length);
  const residuals = values.map((value, k) => {
    const image = row(images, k, size);
    addScaled(image, -value, row(vectors, k, size));
    return norm(image);
  });
  return {
    values,
    vectors,
    residuals,
    converged,
    iterations: iterations + 1,
    products: products + best.length,
  };
}

function joined(vectors: readonly Float64Array[], size: number): Float64Array {
  const block = new Float64Array(vectors.length * size);
  vectors.forEach((vector, k) => block.set(vector, k * size));
  return block;
}

function combined(basis: readonly Float64Array[], weights: Float64Array, size: number): Float64Array {
  const sum = new Float64Array(size);
  weights.forEach((weight, i) => addScaled(sum, weight, basis[i]!));
  return sum;
}
