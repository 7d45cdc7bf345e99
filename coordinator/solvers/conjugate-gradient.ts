import { conjugateGradientAdvice } from './conjugate-gradient-advice.js';
import { residualsOf, withDamping } from './damped.js';
import type { Operator, Solution, SolverOptions, Status } from './types.js';
import { worstStatus } from './types.js';
import { addScaled, countRows, dot, norm, row } from './vectors.js';

export interface ConjugateGradientOptions extends SolverOptions {
  /** λ in (H + λI). */
  damping: number;
  /** Stop a right-hand side at ‖r‖ ≤ tolerance·‖v‖. */
  tolerance: number;
  /** The most iterations. */
  iterations: number;
  /** `false` saves the final product: `trueResiduals` are then the recursion's own. Default true. */
  verify?: boolean;
}

/** One right-hand side of the recursion: x the solution, r = v − Ax, p the direction, as in the papers. */
export interface Column {
  v: Float64Array;
  x: Float64Array;
  r: Float64Array;
  p: Float64Array;
  rr: number;
  /** ‖v‖ */
  norm: number;
  /** ‖r‖/‖v‖, as the recursion has it. */
  residual: number;
  trueResidual: number;
  /** pᵀAp / pᵀp of the last direction, and the largest so far (a lower bound of the largest eigenvalue). */
  curvature: number;
  largestCurvature: number;
  /** `undefined` while at work. */
  status: Status | undefined;
}

/**
 * Conjugate gradients for (H + λI) s = v, K right-hand sides at once: x = 0, r = p = v; α = rᵀr / pᵀAp,
 * x += αp, r −= αAp, β = r'ᵀr' / rᵀr, p = r + βp (Hestenes & Stiefel 1952; Shewchuk 1994, B2 without preconditioner).
 * The error in the A-norm shrinks at least by (√κ−1)/(√κ+1) an iteration, κ the condition number of H + λI.
 *
 * What differs from the reference:
 * - The right-hand sides are K independent recursions (not block CG, so dependent columns do no harm) that share
 *   every pass over the data; finished ones leave the block.
 * - A direction with pᵀAp ≤ 0 ends its right-hand side as `indefinite`, with the solution so far.
 * - At the end v − Ax is computed anew by one product. Where it is above the tolerance that the recursion's r has
 *   reached, the products (float32) are not precise enough to tell: `precision-limited`. CG is not restarted from
 *   v − Ax: with float32 products that residual is mostly their rounding, and the restarted answers were 2–4 times worse.
 */
export async function conjugateGradient(
  operator: Operator,
  rightHandSides: Float64Array,
  options: ConjugateGradientOptions,
): Promise<Solution> {
  const { size } = operator;
  const { tolerance, signal } = options;
  const damped = withDamping(operator, options.damping);
  const count = countRows(rightHandSides, size);
  const solutions = new Float64Array(rightHandSides.length);
  const columns = Array.from({ length: count }, (_, k) =>
    start(row(rightHandSides, k, size), row(solutions, k, size), tolerance),
  );
  const residualHistory: number[] = [];
  let products = 0;

  let active: Column[] = [];
  let block: Float64Array = new Float64Array(0);
  while (residualHistory.length < options.iterations) {
    const left = columns.filter((column) => column.status === undefined);
    if (left.length === 0) break;
    if (left.length !== active.length) {
      active = left;
      block = gather(active, 'p', size);
      active.forEach((column, k) => (column.p = row(block, k, size)));
    }
    signal?.throwIfAborted();
    const product = await damped.multiply(block, active.length);
    products += 1;
    active.forEach((column, k) => step(column, row(product, k, size), tolerance));
    const residuals = columns.map((column) => column.residual);
    const worst = Math.max(...residuals);
    residualHistory.push(worst);
    options.onProgress?.({
      measure: 'residual',
      iteration: residualHistory.length,
      iterations: options.iterations,
      products,
      residuals,
      worst,
    });
  }
  for (const column of columns) column.status ??= 'iteration-limit';

  const checked = columns.filter((column) => column.norm > 0 && column.status !== 'diverged');
  if (options.verify !== false && checked.length > 0) {
    signal?.throwIfAborted();
    const [v, x] = [gather(checked, 'v', size), gather(checked, 'x', size)];
    const { relative } = await residualsOf(damped, v, x, checked.length);
    products += 1;
    checked.forEach((column, k) => {
      column.trueResidual = relative[k]!;
      if (column.trueResidual <= tolerance) column.status = 'converged';
      else if (column.status === 'converged') column.status = 'precision-limited';
    });
  }
  for (const column of columns)
    if (!Number.isFinite(column.trueResidual)) column.trueResidual = column.residual;
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

function start(v: Float64Array, x: Float64Array, tolerance: number): Column {
  const rr = dot(v, v);
  const residual = rr === 0 ? 0 : 1;
  return {
    ...{ v, x, r: v.slice(), p: v, rr, norm: Math.sqrt(rr), residual },
    trueResidual: rr === 0 ? 0 : Infinity,
    curvature: 0,
    largestCurvature: 0,
    status: !Number.isFinite(rr) ? 'diverged' : residual <= tolerance ? 'converged' : undefined,
  };
}

/** One iteration of one right-hand side, given Ap; p is updated in place. */
function step(column: Column, product: Float64Array, tolerance: number): void {
  const { x, r, p, rr } = column;
  const curvature = dot(p, product);
  column.curvature = curvature / dot(p, p);
  if (!(curvature > 0)) {
    column.status = Number.isFinite(curvature) ? 'indefinite' : 'diverged';
    return;
  }
  column.largestCurvature = Math.max(column.largestCurvature, column.curvature);
  const alpha = rr / curvature;
  addScaled(r, -alpha, product);
  const length = norm(r);
  if (!Number.isFinite(length)) {
    column.status = 'diverged';
    return;
  }
  addScaled(x, alpha, p);
  column.rr = length * length;
  column.residual = length / column.norm;
  if (column.residual <= tolerance) column.status = 'converged';
  const beta = column.rr / rr;
  for (let i = 0; i < p.length; i += 1) p[i] = r[i]! + beta * p[i]!;
}

/** The p, v or x of these columns as rows of a new block. */
function gather(columns: Column[], which: 'p' | 'v' | 'x', size: number): Float64Array {
  const block = new Float64Array(columns.length * size);
  columns.forEach((column, k) => block.set(column[which], k * size));
  return block;
}
