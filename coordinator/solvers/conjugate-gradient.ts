import { blockRecursion } from './block-conjugate-gradient.js';
import { conjugateGradientAdvice, indefiniteAdvice } from './conjugate-gradient-advice.js';
import type { Column, Recursion } from './columns.js';
import { release } from './columns.js';
import type { KrylovOptions, Stopped } from './krylov.js';
import { drive } from './krylov.js';
import type { Preconditioner } from './preconditioner.js';
import type { Operator, Solution } from './types.js';
import { worstStatus } from './types.js';
import { dot, row } from './vectors.js';

export interface ConjugateGradientOptions extends KrylovOptions {
  /** M⁻¹ ≈ (H + λI)⁻¹. Without one M is I. */
  preconditioner?: Preconditioner | undefined;
  /** `true`: block CG, one recursion whose directions serve all right-hand sides. Default false. */
  block?: boolean | undefined;
}

export interface ConjugateGradientSolution extends Solution {
  /** The advice but for what it says of right-hand sides that are `indefinite`. */
  otherAdvice: string;
  /** The largest pᵀ(H+λI)p / pᵀp of all directions: a lower bound of the largest eigenvalue. */
  largestCurvature: number;
  /** Where `stop` ended it. */
  stopped: Stopped | undefined;
  /** The direction of least curvature, where one was met with pᵀ(H+λI)p ≤ 0. */
  negative: { direction: Float64Array; curvature: number } | undefined;
}

/**
 * Conjugate gradients for (H + λI) s = v, K right-hand sides at once: x = 0, r = v, z = M⁻¹r, p = z; α = rᵀz / pᵀAp,
 * x += αp, r −= αAp, z = M⁻¹r, β = r'ᵀz' / rᵀz, p = z + βp (Hestenes & Stiefel 1952; Shewchuk 1994, B3).
 * The error in the A-norm shrinks at least by (√κ−1)/(√κ+1) an iteration, κ the condition number of M⁻¹(H + λI).
 *
 * What differs from the reference:
 * - The right-hand sides are K independent recursions (with `block`, one: see there) that share every pass over the data;
 *   finished ones leave it.
 * - A direction with pᵀAp ≤ 0 ends its right-hand side as `indefinite`, with the solution so far.
 * - Residuals are confirmed, and recursions started again from the true residual while that gains: see `drive`.
 */
export async function conjugateGradient(
  operator: Operator,
  rightHandSides: Float64Array,
  options: ConjugateGradientOptions,
): Promise<ConjugateGradientSolution> {
  const { damping, preconditioner, block = false } = options;
  const { columns, solutions, residualHistory, products, stopped } = await drive(
    operator,
    rightHandSides,
    options,
    async (open) => {
      if (open.length === 0) return [];
      if (block) return [await blockRecursion(open, damping, preconditioner)];
      return [await new IndependentRecursions(open, damping, preconditioner).begin()];
    },
  );
  const ended = columns.map((column) => column.status!);
  const [lowest] = columns
    .filter(({ negative }) => negative)
    .sort((one, other) => one.curvature - other.curvature);
  const otherAdvice = conjugateGradientAdvice(columns, residualHistory, options);
  return {
    solutions,
    status: worstStatus(ended),
    columns: ended,
    advice: [otherAdvice, indefiniteAdvice(columns, options)].filter((text) => text !== '').join(' '),
    otherAdvice,
    iterations: residualHistory.length,
    products,
    residualHistory,
    trueResiduals: columns.map((column) => column.trueResidual),
    stopped,
    largestCurvature: Math.max(...columns.map((column) => column.largestCurvature)),
    negative: lowest && { direction: lowest.negative!, curvature: lowest.curvature },
  };
}

/** The recursion of one right-hand side, its direction aside. */
interface Single {
  column: Column;
  /** M⁻¹r, where there is an M; else r. */
  z: Float64Array;
  /** rᵀr */
  rr: number;
  /** rᵀz; infinite before there is a direction, for β = 0. */
  rz: number;
  /** pᵀp */
  square: number;
}

/** Independent recursions, whose residuals are preconditioned together. */
class IndependentRecursions implements Recursion {
  directions: Float64Array;
  readonly #size: number;
  readonly #damping: number;
  readonly #preconditioner: Preconditioner | undefined;
  /** One for each direction. */
  #singles: Single[];

  constructor(columns: readonly Column[], damping: number, preconditioner: Preconditioner | undefined) {
    this.#size = columns[0]!.r.length;
    this.#damping = damping;
    this.#preconditioner = preconditioner;
    this.directions = new Float64Array(columns.length * this.#size);
    this.#singles = columns.map((column) => {
      column.owner = this;
      const z = preconditioner ? new Float64Array(this.#size) : column.r;
      return { column, z, rr: dot(column.r, column.r), rz: Infinity, square: 0 };
    });
  }

  async begin(): Promise<this> {
    await this.#advance();
    return this;
  }

  async step(products: Float64Array): Promise<void> {
    this.#singles.forEach((single, k) => {
      if (single.column.owner === this)
        this.#descend(single, row(this.directions, k, this.#size), row(products, k, this.#size));
    });
    this.#leave();
    await this.#advance();
  }

  #descend(single: Single, p: Float64Array, product: Float64Array): void {
    const { column, rz, square } = single;
    const curvature = dot(p, product) + this.#damping * square;
    column.curvature = curvature / square;
    if (!(curvature > 0)) {
      if (Number.isFinite(curvature)) column.negative = p.slice();
      release(column, Number.isFinite(curvature) ? 'indefinite' : 'diverged');
      return;
    }
    column.largestCurvature = Math.max(column.largestCurvature, column.curvature);
    single.rr = descend(column.x, column.r, p, product, rz / curvature, this.#damping);
    if (!Number.isFinite(single.rr)) {
      release(column, 'diverged');
      return;
    }
    column.residual = Math.sqrt(single.rr) / column.norm;
    if (column.residual <= column.goal) release(column, 'converged');
  }

  /** Closes up the directions of those that go on. */
  #leave(): void {
    const going = [...this.#singles.keys()].filter((k) => this.#singles[k]!.column.owner === this);
    if (going.length === this.#singles.length) return;
    going.forEach((from, to) =>
      this.directions.copyWithin(to * this.#size, from * this.#size, (from + 1) * this.#size),
    );
    this.directions = this.directions.subarray(0, going.length * this.#size);
    this.#singles = going.map((k) => this.#singles[k]!);
  }

  /** z ← M⁻¹r, p ← z + βp */
  async #advance(): Promise<void> {
    await this.#preconditioner?.apply(
      this.#singles.map(({ column }) => column.r),
      this.#singles.map(({ z }) => z),
    );
    this.#singles.forEach((single, k) => {
      const rz = this.#preconditioner ? dot(single.column.r, single.z) : single.rr;
      single.square = advance(row(this.directions, k, this.#size), single.z, rz / single.rz);
      single.rz = rz;
    });
  }
}

/** x ← x + αp, r ← r − α(q + λp). @returns rᵀr */
function descend(
  x: Float64Array,
  r: Float64Array,
  p: Float64Array,
  q: Float64Array,
  alpha: number,
  damping: number,
): number {
  let [even, odd] = [0, 0];
  const pairs = x.length - (x.length % 2);
  for (let i = 0; i < pairs; i += 2) {
    const [p0, p1] = [p[i]!, p[i + 1]!];
    x[i]! += alpha * p0;
    x[i + 1]! += alpha * p1;
    const r0 = r[i]! - alpha * (q[i]! + damping * p0);
    const r1 = r[i + 1]! - alpha * (q[i + 1]! + damping * p1);
    r[i] = r0;
    r[i + 1] = r1;
    even += r0 * r0;
    odd += r1 * r1;
  }
  if (pairs < x.length) {
    x[pairs]! += alpha * p[pairs]!;
    r[pairs]! -= alpha * (q[pairs]! + damping * p[pairs]!);
    even += r[pairs]! ** 2;
  }
  return even + odd;
}

/** p ← z + βp. @returns pᵀp */
function advance(p: Float64Array, z: Float64Array, beta: number): number {
  let [even, odd] = [0, 0];
  const pairs = p.length - (p.length % 2);
  for (let i = 0; i < pairs; i += 2) {
    const p0 = z[i]! + beta * p[i]!;
    const p1 = z[i + 1]! + beta * p[i + 1]!;
    p[i] = p0;
    p[i + 1] = p1;
    even += p0 * p0;
    odd += p1 * p1;
  }
  if (pairs < p.length) odd += (p[pairs] = z[pairs]! + beta * p[pairs]!) ** 2;
  return even + odd;
}
