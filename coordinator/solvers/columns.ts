import type { Status } from './types.js';
import { norm } from './vectors.js';

/** One right-hand side v of A·s = v, A = H + λI. */
export interface Column {
  readonly v: Float64Array;
  /** ‖v‖ */
  readonly norm: number;
  /** The solution so far. */
  readonly x: Float64Array;
  /** v − A·x where a recursion starts; from then on the recursion's own. */
  r: Float64Array;
  /** ‖r‖/‖v‖, as the recursion has it. */
  residual: number;
  /** ‖v − A·x‖/‖v‖ computed anew, of the answer. */
  trueResidual: number;
  /** The recursion ends here. */
  goal: number;
  /** At work on it; undefined once it has ended. */
  owner: Recursion | undefined;
  /** How its recursion ended, which the true residual has yet to confirm. */
  claim: Status | undefined;
  /** `undefined` until it has ended. */
  status: Status | undefined;
  /** pᵀAp / pᵀp of the last direction, and the largest so far (a lower bound of the largest eigenvalue). */
  curvature: number;
  largestCurvature: number;
  /** Where `indefinite`: a direction of curvature ≤ 0. */
  negative?: Float64Array;
  /** Whether the part of x in the null space is gone (`least-squares`). */
  lifted: boolean;
}

/** A recursion for some right-hand sides: it asks for products of its directions and goes on with them. */
export interface Recursion {
  /** Width × p, a direction a row, multiplied in the next pass. Its owner may put the same values elsewhere. */
  directions: Float64Array;
  /**
   * One iteration for the columns that it still owns, given H·directions, without damping; may write to them. Releases the columns that have ended, with a
   * claim. Changes `directions` in place, or to another array where there are fewer.
   */
  step(products: Float64Array): void | Promise<void>;
}

/** Iterations of a right-hand side after which its residual is computed anew, together with the ordinary pass. */
const checkEvery = 50;
/** Recursion and true residual have parted where they differ by more than this factor. */
const parted = 2;
/** Another restart from the true residual is worth its passes while the last one gained this factor. */
const worthwhile = 2;
/** What one restart aims to gain, so that one in vain costs few passes. */
const aim = 0.05;
/**
 * Iterations without a tenth off the lowest residual after which it has stagnated: this many, and half of all so far.
 * CG's residual may be on a plateau that long; one that never grows is not.
 */
const patience = 1000;
const monotonePatience = 100;

/** Ends the recursion of a column. */
export function release(column: Column, claim: Status): void {
  column.owner = undefined;
  column.claim = claim;
}

/** @param left v − A·x where x is not zero, by another recursion; a residual that it claims is yet to be confirmed */
export function begin(v: Float64Array, x: Float64Array, tolerance: number, left?: Float64Array): Column {
  const length = norm(v);
  const residual = length === 0 ? 0 : left ? norm(left) / length : 1;
  const reached = residual <= tolerance;
  return {
    ...{ v, x, r: (left ?? v).slice(), norm: length, residual, goal: tolerance },
    trueResidual: length === 0 ? 0 : Infinity,
    owner: undefined,
    claim: reached && left && length > 0 ? 'converged' : undefined,
    status: !Number.isFinite(length)
      ? 'diverged'
      : reached && !(left && length > 0)
        ? 'converged'
        : undefined,
    curvature: 0,
    largestCurvature: 0,
    lifted: false,
  };
}

export const isOpen = ({ status }: Column) => status === undefined;

/** A column, and what its true residuals and its progress are compared with. */
export interface Watched {
  column: Column;
  /** The answer with the least true residual so far. */
  best: { x: Float64Array; residual: number } | undefined;
  /** The true residual that the recursion was last started again from. */
  restartedAt: number;
  iterations: number;
  checkedAt: number;
  lowest: number;
  lowestAt: number;
  patience: number;
}

/** @param leastResidual the method never has a residual above that of x = 0, so whatever has is worse than that */
export const watch = (column: Column, leastResidual: boolean): Watched => ({
  column,
  best: leastResidual ? { x: new Float64Array(column.x.length), residual: 1 } : undefined,
  restartedAt: leastResidual ? worthwhile : Infinity,
  iterations: 0,
  checkedAt: 0,
  lowest: 1,
  lowestAt: 0,
  patience: leastResidual ? monotonePatience : patience,
});

export function isDue({ column, iterations, checkedAt }: Watched): boolean {
  return column.status === undefined && (column.claim !== undefined || iterations - checkedAt >= checkEvery);
}

/** After an iteration: whether the column gets nowhere. */
export function observe(watched: Watched): void {
  const { column } = watched;
  watched.iterations += 1;
  if (column.residual < 0.9 * watched.lowest) {
    watched.lowest = column.residual;
    watched.lowestAt = watched.iterations;
  }
  if (watched.iterations - watched.lowestAt > Math.max(watched.patience, watched.iterations / 2))
    release(column, 'stagnated');
}

/**
 * What a column's true residual says, given H·x (which becomes v − A·x).
 * @returns whether a recursion is to start again, from the column's new r
 */
export function judge(
  watched: Watched,
  product: Float64Array,
  { damping, tolerance }: { damping: number; tolerance: number },
): boolean {
  const { column } = watched;
  const { v, x, claim } = column;
  for (let i = 0; i < product.length; i += 1) product[i] = v[i]! - (product[i]! + damping * x[i]!);
  const residual = norm(product) / column.norm;
  const apart = !(residual <= parted * column.residual);
  watched.checkedAt = watched.iterations;
  if (claim === 'least-squares' && !column.lifted && !apart && residual > tolerance) {
    lift(x, product);
    column.lifted = true;
    return false; // and is checked again, as what it is now
  }
  const reached = claim === 'converged' || (claim === 'least-squares' && apart);
  if (residual <= tolerance) column.status = 'converged';
  else if (claim !== undefined && !reached) column.status = claim;
  else if ((reached || apart) && !(residual <= watched.restartedAt / worthwhile))
    column.status = 'precision-limited';
  settle(watched, residual);
  if (column.status !== undefined) column.owner = undefined;
  if (column.status !== undefined || (claim === undefined && !apart)) return false;
  watched.restartedAt = residual;
  column.r.set(product);
  column.residual = residual;
  column.goal = Math.max(tolerance, aim * residual);
  column.owner = column.claim = undefined;
  return true;
}

/** Keeps the best of the answers seen, of which zero is the first, and hands it out at the end. */
function settle(watched: Watched, residual: number): void {
  const { column, best } = watched;
  if (!best && !Number.isFinite(residual)) {
    column.x.fill(0);
    column.trueResidual = 1;
    column.status = 'diverged';
  } else if (!(residual < (best?.residual ?? 1)) && column.status !== 'converged') {
    if (column.status === undefined) return;
    if (best) column.x.set(best.x);
    else column.x.fill(0);
    column.trueResidual = best?.residual ?? 1;
    if (!best && column.status === 'precision-limited') column.status = 'stagnated';
  } else {
    column.trueResidual = residual;
    if (column.status !== undefined) return;
    if (best) best.x.set(column.x);
    watched.best = { x: best?.x ?? column.x.slice(), residual };
  }
}

/**
 * x − (rᵀx/rᵀr)·r: with r = v − Ax in the null space of A this takes a least-squares solution by MINRES to the one of least length
 * (Liu, Milzarek & Roosta 2023, "Obtaining pseudo-inverse solutions with MINRES").
 */
function lift(x: Float64Array, r: Float64Array): void {
  let along = 0;
  let length = 0;
  for (let i = 0; i < x.length; i += 1) {
    along += r[i]! * x[i]!;
    length += r[i]! * r[i]!;
  }
  for (let i = 0; i < x.length; i += 1) x[i]! -= (along / length) * r[i]!;
}
