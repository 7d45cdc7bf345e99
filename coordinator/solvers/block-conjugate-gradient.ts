import type { Column, Recursion } from './columns.js';
import { release } from './columns.js';
import { orthonormal } from './orthonormal.js';
import { addCombinations, gram } from './panels.js';
import type { Preconditioner } from './preconditioner.js';
import { cholesky, solveFactored } from './small-dense.js';
import { addScaled, norm, row } from './vectors.js';

/**
 * Block conjugate gradients: R = V − AX, P = orth(M⁻¹R); Q = AP, α = (PᵀQ)⁻¹PᵀR, X += Pα, R −= Qα, Z = M⁻¹R,
 * β = −(PᵀQ)⁻¹QᵀZ, P = orth(Z + Pβ). All right-hand sides profit of all directions: with m of them it converges as CG does for
 * the matrix without its m−1 largest and smallest outlying eigenvalues (O'Leary 1980). Dependent right-hand sides, and those that become so,
 * break nothing, since `orth` leaves dependent directions out: the breakdown-free block CG of Ji & Li 2017, algorithm 2.
 *
 * What differs from it: right-hand sides that are finished leave, and with them their directions; see `orthonormal` for `orth`.
 */
export function blockRecursion(
  columns: Column[],
  damping: number,
  preconditioner: Preconditioner | undefined,
): Promise<Recursion> {
  return new BlockRecursion(columns, damping, preconditioner).begin();
}

class BlockRecursion implements Recursion {
  directions: Float64Array = new Float64Array(0);
  readonly #damping: number;
  readonly #preconditioner: Preconditioner | undefined;
  readonly #size: number;
  #columns: Column[];
  /** K × p: where the directions are made, and what they are made of. */
  readonly #block: Float64Array;
  readonly #z: Float64Array;
  /** ‖M⁻¹r‖ of each where it started. */
  readonly #lengths = new Map<Column, number>();

  constructor(columns: Column[], damping: number, preconditioner: Preconditioner | undefined) {
    this.#columns = columns;
    this.#damping = damping;
    this.#preconditioner = preconditioner;
    this.#size = columns[0]!.r.length;
    this.#block = new Float64Array(columns.length * this.#size);
    this.#z = new Float64Array(columns.length * this.#size);
    for (const column of columns) column.owner = this;
  }

  async begin(): Promise<this> {
    const z = await this.#preconditioned();
    this.#columns.forEach((column, k) => this.#lengths.set(column, norm(z[k]!)));
    const copies = this.#rows(this.#z);
    z.forEach((row, k) => copies[k]!.set(row));
    this.directions = this.#orthonormal(copies);
    return this;
  }

  async step(products: Float64Array): Promise<void> {
    if (this.#owned().length === 0) return;
    const p = this.#rows(this.directions);
    if (this.#damping !== 0) addScaled(products, this.#damping, this.directions);
    const q = this.#rows(products);
    const width = p.length;
    const columns = this.#columns;
    const r = columns.map((column) => column.r);
    const [pq, alpha] = split(gram(p, [...q, ...r]), width, width);
    const factor = cholesky(pq, width);
    if (factor.rank < width) {
      this.#end(p, pq, factor.pivot, factor.rank);
      return;
    }
    solveFactored(factor, width, alpha, columns.length);
    addCombinations(
      columns.map((column) => column.x),
      1,
      alpha,
      p,
    );
    addCombinations(r, -1, alpha, q);
    for (const column of columns) {
      column.residual = norm(column.r) / column.norm;
      for (let i = 0; i < width; i += 1) note(column, pq[i * width + i]!);
      if (!Number.isFinite(column.residual)) release(column, 'diverged');
      else if (column.residual <= column.goal) release(column, 'converged');
    }
    if (this.#owned().length === 0) return;

    const z = await this.#preconditioned();
    const beta = gram(q, z);
    solveFactored(factor, width, beta, z.length);
    const made = this.#rows(this.#z.subarray(0, z.length * this.#size));
    addCombinations(made, -1, beta, p, z);
    this.directions = this.#orthonormal(made);
    // Nothing left to go along: what is left of the residuals is below the rounding of their directions.
    if (this.directions.length === 0) for (const column of this.#columns) release(column, 'converged');
  }

  #owned(): Column[] {
    return (this.#columns = this.#columns.filter(({ owner }) => owner === this));
  }

  #rows(block: Float64Array): Float64Array[] {
    return Array.from({ length: block.length / this.#size }, (_, i) => row(block, i, this.#size));
  }

  /** M⁻¹R; R itself without M. */
  async #preconditioned(): Promise<Float64Array[]> {
    const residuals = this.#columns.map(({ r }) => r);
    if (!this.#preconditioner) return residuals;
    const z = residuals.map((_, k) => row(this.#z, k, this.#size));
    await this.#preconditioner.apply(residuals, z);
    return z;
  }

  #orthonormal(z: Float64Array[]): Float64Array {
    const lengths = this.#columns.map((column) => this.#lengths.get(column)!);
    return orthonormal(z, lengths, this.#block.subarray(0, z.length * this.#size));
  }

  /** A combination of the directions has no positive curvature: the one whose pivot PᵀQ showed. */
  #end(p: Float64Array[], pq: Float64Array, pivot: number, at: number): void {
    const width = p.length;
    const y = new Float64Array(width);
    for (let i = 0; i < at; i += 1) y[i] = -pq[i * width + at]!;
    solveFactored(cholesky(pq, width), width, y, 1);
    y[at] = 1;
    const direction = new Float64Array(this.#size);
    addCombinations([direction], 1, y, p);
    for (const column of this.#columns) {
      if (Number.isFinite(pivot)) {
        column.curvature = pivot / norm(direction) ** 2;
        column.negative = direction;
      }
      release(column, Number.isFinite(pivot) ? 'indefinite' : 'diverged');
    }
  }
}

/** The first columns of a matrix of some rows, and the others. */
function split(matrix: Float64Array, rows: number, first: number): [Float64Array, Float64Array] {
  const width = matrix.length / rows;
  const part = (from: number, to: number) =>
    Float64Array.from({ length: rows * (to - from) }, (_, at) => {
      const [i, j] = [Math.floor(at / (to - from)), at % (to - from)];
      return matrix[i * width + from + j]!;
    });
  return [part(0, first), part(first, width)];
}

function note(column: Column, curvature: number): void {
  column.curvature = curvature;
  column.largestCurvature = Math.max(column.largestCurvature, curvature);
}
