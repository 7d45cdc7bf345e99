import type { Column, Recursion } from './columns.js';
import { release } from './columns.js';
import { conjugateGradientAdvice } from './conjugate-gradient-advice.js';
import type { KrylovOptions } from './krylov.js';
import { drive } from './krylov.js';
import type { Operator, Solution } from './types.js';
import { worstStatus } from './types.js';

/** ‖Ar‖ this small beside ‖A‖‖r‖ is zero within the rounding of float32 products: r is in the null space. */
const nullSpace = 1e-6;
/** The Krylov space is exhausted where the next Lanczos vector is this small beside ‖A‖. */
const exhausted = 1e-13;

/**
 * MINRES for (H + λI) s = v with any symmetric H, indefinite or singular too (Paige & Saunders 1975): the Lanczos vectors
 * βv' = Av − αv − β₋v₋ from v₁ = v/‖v‖, the QR factors of their tridiagonal matrix by plane rotations, and x along
 * w = (v − εw₋₋ − δw₋)/γ, so that ‖v − Ax‖ is the least over the Krylov space and never grows. Its convergence is that of the
 * spectrum's two sides together: about as many iterations as CG takes for A² (κ in place of √κ).
 *
 * What differs from the paper:
 * - K independent recursions share every pass; residuals are confirmed as in CG: see `drive`.
 * - Where ‖Ar‖ ≤ 1e-6·‖A‖‖r‖, H + λI is singular within rounding and v not in its range: `least-squares`, the answer with
 *   the least residual; it is taken to the one of least length too (`lift` in columns.ts), which is what MINRES-QLP
 *   (Choi, Paige & Saunders 2011) would give.
 */
export async function minres(
  operator: Operator,
  rightHandSides: Float64Array,
  options: KrylovOptions,
): Promise<Solution> {
  const { columns, solutions, residualHistory, products } = await drive(
    operator,
    rightHandSides,
    { ...options, leastResidual: true },
    (open) => open.map((column) => new MinresRecursion(column, options.damping)),
  );
  const ended = columns.map((column) => column.status!);
  return {
    solutions,
    status: worstStatus(ended),
    columns: ended,
    advice: conjugateGradientAdvice(columns, residualHistory, options),
    iterations: residualHistory.length,
    products,
    residualHistory,
    trueResiduals: columns.map((column) => column.trueResidual),
  };
}

/** The recursion of one right-hand side; names as in Paige & Saunders and SOL's code. */
class MinresRecursion implements Recursion {
  /** v, the Lanczos vector of length 1. */
  directions: Float64Array;
  readonly #column: Column;
  readonly #damping: number;
  readonly #previous: Float64Array;
  #w: Float64Array;
  #wBefore: Float64Array;
  #beta = 0;
  #cosine = -1;
  #sine = 0;
  #deltaBar = 0;
  #epsilon = 0;
  /** ‖r‖ */
  #phiBar: number;
  /** The largest column of the tridiagonal matrix: at most ‖A‖. */
  #scale = 0;

  constructor(column: Column, damping: number) {
    column.owner = this;
    this.#column = column;
    this.#damping = damping;
    this.#phiBar = column.residual * column.norm;
    this.directions = column.r.map((value) => value / this.#phiBar);
    this.#previous = new Float64Array(column.r.length);
    this.#w = new Float64Array(column.r.length);
    this.#wBefore = new Float64Array(column.r.length);
  }

  step(product: Float64Array): void {
    const column = this.#column;
    if (column.owner !== this) return;
    const v = this.directions;
    const [alpha, beta] = nextLanczos(product, v, this.#previous, this.#damping, this.#beta);
    this.#scale = Math.max(this.#scale, Math.hypot(this.#beta, alpha, beta));

    const oldEpsilon = this.#epsilon;
    const delta = this.#cosine * this.#deltaBar + this.#sine * alpha;
    const gammaBar = this.#sine * this.#deltaBar - this.#cosine * alpha;
    this.#epsilon = this.#sine * beta;
    this.#deltaBar = -this.#cosine * beta;
    const gamma = Math.hypot(gammaBar, beta);
    // ‖Ar‖/‖r‖ = √(γ̄² + δ̄²), r the residual so far
    if (Math.hypot(gammaBar, this.#deltaBar) <= nullSpace * this.#scale) {
      release(column, 'least-squares');
      return;
    }
    this.#cosine = gammaBar / gamma;
    this.#sine = beta / gamma;
    const phi = this.#cosine * this.#phiBar;
    this.#phiBar *= this.#sine;
    if (!Number.isFinite(phi / gamma)) {
      release(column, 'diverged');
      return;
    }
    const next = this.#wBefore;
    turn(column.x, next, this.#w, v, oldEpsilon, delta, gamma, phi);
    this.#wBefore = this.#w;
    this.#w = next;
    this.#beta = beta;
    column.curvature = alpha;
    column.largestCurvature = Math.max(column.largestCurvature, Math.abs(alpha));
    column.residual = this.#phiBar / column.norm;
    if (column.residual <= column.goal) release(column, 'converged');
    else if (beta <= exhausted * this.#scale) release(column, 'least-squares');
    else move(v, this.#previous, product, 1 / beta);
  }
}

/** q ← Av − αv − βv₋ given q = Hv. @returns α = vᵀAv and ‖q‖ */
function nextLanczos(
  q: Float64Array,
  v: Float64Array,
  previous: Float64Array,
  damping: number,
  beta: number,
): [alpha: number, length: number] {
  let alpha = 0;
  for (let i = 0; i < q.length; i += 1) {
    const value = q[i]! + damping * v[i]! - beta * previous[i]!;
    q[i] = value;
    alpha += value * v[i]!;
  }
  let square = 0;
  for (let i = 0; i < q.length; i += 1) {
    const value = q[i]! - alpha * v[i]!;
    q[i] = value;
    square += value * value;
  }
  return [alpha, Math.sqrt(square)];
}

/** w ← (v − ε·w − δ·w₋)/γ in the place of w₋₋, x ← x + φw. */
function turn(
  x: Float64Array,
  w: Float64Array,
  before: Float64Array,
  v: Float64Array,
  epsilon: number,
  delta: number,
  gamma: number,
  phi: number,
): void {
  for (let i = 0; i < x.length; i += 1) {
    const value = (v[i]! - epsilon * w[i]! - delta * before[i]!) / gamma;
    w[i] = value;
    x[i]! += phi * value;
  }
}

/** v₋ ← v, v ← q·factor */
function move(v: Float64Array, previous: Float64Array, q: Float64Array, factor: number): void {
  for (let i = 0; i < v.length; i += 1) {
    previous[i] = v[i]!;
    v[i] = q[i]! * factor;
  }
}
