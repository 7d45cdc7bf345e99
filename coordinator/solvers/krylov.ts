import { begin, isDue, isOpen, judge, observe, release, watch } from './columns.js';
import type { Column, Recursion } from './columns.js';
import type { Operator, SolverOptions } from './types.js';
import { countRows, row } from './vectors.js';

export interface KrylovOptions extends SolverOptions {
  /** λ in (H + λI). */
  damping: number;
  /** Stop a right-hand side at ‖r‖ ≤ tolerance·‖v‖. */
  tolerance: number;
  /** The most iterations. */
  iterations: number;
  /** `false` saves the products that true residuals take: `trueResidual` is then the recursion's own. Default true. */
  verify?: boolean | undefined;
  /** Whether the recursions' residuals never grow, so that none is above ‖v‖. Default false. */
  leastResidual?: boolean | undefined;
  /** `true` ends everything, unverified, as soon as one right-hand side is `indefinite`. Default false. */
  stopAtIndefinite?: boolean | undefined;
  /** Asked after each iteration with its number of directions; `true` ends everything there, unverified, as `iteration-limit`. */
  stop?: ((history: readonly number[], width: number) => boolean) | undefined;
  /** Where another recursion for the same right-hand sides was stopped. */
  from?: Stopped | undefined;
}

/** What a later recursion begins with. */
export interface Stopped {
  /** K × p */
  solutions: Float64Array;
  /** v − A·x of each, by the recursion. */
  residuals: readonly Float64Array[];
}

export interface Run {
  columns: Column[];
  solutions: Float64Array;
  residualHistory: number[];
  products: number;
  /** Where `stop` ended it. */
  stopped: Stopped | undefined;
}

/**
 * Drives recursions for A·S = V, A = H + λI: all of them share each product, and finished right-hand sides leave it. Two things keep
 * the answers honest whatever the products' precision:
 * - The true residual v − Ax is computed for every right-hand side that claims to have ended, and for the others every 50
 *   iterations; these vectors ride along in the ordinary pass.
 * - Where recursion and true residual part, the recursion is started again from the true residual as long as that gains
 *   a factor of 2 each time; then the right-hand side ends as `precision-limited`. The answer is always the one with the
 *   least true residual seen.
 */
export async function drive(
  operator: Operator,
  rightHandSides: Float64Array,
  options: KrylovOptions,
  start: (columns: Column[]) => Recursion[] | Promise<Recursion[]>,
): Promise<Run> {
  const { size } = operator;
  const { signal, verify = true, from } = options;
  const solutions = from?.solutions.slice() ?? new Float64Array(rightHandSides.length);
  const watched = Array.from({ length: countRows(rightHandSides, size) }, (_, k) =>
    watch(
      begin(row(rightHandSides, k, size), row(solutions, k, size), options.tolerance, from?.residuals[k]),
      options.leastResidual ?? false,
    ),
  );
  const columns = watched.map(({ column }) => column);
  const residualHistory: number[] = [];
  let products = 0;
  const pass = new Pass(size);
  let recursions = await start(columns.filter((column) => isOpen(column) && !column.claim));
  let stopped: Stopped | undefined;

  for (;;) {
    if (residualHistory.length >= options.iterations)
      for (const column of columns) if (column.owner) release(column, 'iteration-limit');
    const found = columns.some(({ claim }) => claim === 'indefinite');
    if (found && options.stopAtIndefinite) break;
    if (!verify) for (const column of columns) column.status ??= column.claim;
    recursions = recursions.filter((recursion) => columns.some(({ owner }) => owner === recursion));
    const due = verify ? watched.filter(isDue) : [];
    if (recursions.length === 0 && due.length === 0) break;

    signal?.throwIfAborted();
    const { block, count, first } = pass.compose(
      recursions,
      due.map(({ column }) => column.x),
    );
    const product = await operator.multiply(block, count);
    products += 1;
    const restarting = due.filter((each, k) => judge(each, row(product, first + k, size), options));
    for (const [i, recursion] of recursions.entries()) await recursion.step(pass.part(product, i));
    if (recursions.length > 0) {
      for (const each of watched) if (each.column.owner) observe(each);
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
    recursions.push(...(await start(restarting.map(({ column }) => column))));
    const width = recursions.reduce((sum, { directions }) => sum + directions.length / size, 0);
    if (columns.some(({ owner }) => owner) && options.stop?.(residualHistory, width)) {
      for (const column of columns) if (column.owner) release(column, 'iteration-limit');
      stopped = { solutions, residuals: columns.map(({ r }) => r) };
      break;
    }
  }
  for (const column of columns) {
    column.status ??= column.claim ?? 'indefinite';
    if (!Number.isFinite(column.trueResidual)) column.trueResidual = column.residual;
  }
  return { columns, solutions, residualHistory, products, stopped };
}

/** The vectors of one product: the recursions' directions, in place where nothing has changed, then those to be checked. */
class Pass {
  readonly #size: number;
  #shared = new Float64Array(0);
  #ends: number[] = [];

  constructor(size: number) {
    this.#size = size;
  }

  compose(recursions: readonly Recursion[], checked: readonly Float64Array[]) {
    let end = 0;
    this.#ends = recursions.map(({ directions }) => (end += directions.length));
    const first = end / this.#size;
    const count = first + checked.length;
    const [only] = recursions;
    if (recursions.length === 1 && checked.length === 0) return { block: only!.directions, count, first };
    if (checked.length === 0) return { block: this.#gather(recursions, end), count, first };
    const block = new Float64Array(count * this.#size);
    recursions.forEach(({ directions }, i) => block.set(directions, this.#ends[i]! - directions.length));
    checked.forEach((x, k) => block.set(x, end + k * this.#size));
    return { block, count, first };
  }

  /** The products of recursion i. */
  part(product: Float64Array, i: number): Float64Array {
    return product.subarray(this.#ends[i - 1] ?? 0, this.#ends[i]);
  }

  #gather(recursions: readonly Recursion[], length: number): Float64Array {
    const inPlace = recursions.every(
      ({ directions }, i) =>
        directions.buffer === this.#shared.buffer &&
        directions.byteOffset === 8 * (this.#ends[i]! - directions.length),
    );
    if (inPlace && this.#shared.length === length) return this.#shared;
    const shared = new Float64Array(length);
    recursions.forEach((recursion, i) => {
      const { directions } = recursion;
      const place = shared.subarray(this.#ends[i]! - directions.length, this.#ends[i]);
      place.set(directions);
      recursion.directions = place;
    });
    return (this.#shared = shared);
  }
}
