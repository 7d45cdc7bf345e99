import {
  changeOfRoute,
  isSmall,
  productsLeft,
  stepsOfLook,
  type Decision,
  type FactorSeconds,
  type Route,
  type Situation,
} from './automatic-choice.js';
import { blockIterations, iterationsAt } from './forecast.js';
import { solveByPolicy, type PolicyOptions } from './indefinite.js';
import { quadrature, tridiagonals } from './lanczos-quadrature.js';
import type { Stopped } from './krylov.js';
import { firstRank, lowRankPreconditioner, nystrom, type LowRank } from './nystrom.js';
import type { Preconditioner } from './preconditioner.js';
import type { SmallEigensolver } from './small-eigen.js';
import type { Operator, Solution, SolverOptions } from './types.js';
import { countRows, row } from './vectors.js';

/** A route, and CG's iterations on it; `rank` the most vectors of a low-rank approximation. */
export interface Step {
  route: Route;
  iterations: number;
  rank?: number | undefined;
}

export interface AutomaticOptions extends SolverOptions {
  /** λ in (H + λI). */
  damping: number;
  tolerance: number;
  /** CG's iterations at most, on each route. */
  iterations: number;
  /** Vectors multiplied at most; Infinity for no limit. */
  maxProducts: number;
  /** No eigenvalue of H is below it, as far as is known: its l2. */
  floor: number;
  /** Vectors of a low-rank approximation at most. Default 1024. */
  mostRank?: number | undefined;
  /** Random vector number `index`, length p. */
  random: (index: number) => Float64Array;
  eigensolver: SmallEigensolver;
  /** The dense solve, and the seconds that it takes besides products. Without it there is none. */
  direct?: { seconds: number; solve: () => Promise<Solution> } | undefined;
  /** Kronecker factors, M⁻¹ for a λ, and the seconds that they take. */
  kfac?: { seconds: FactorSeconds; make: () => Promise<(damping: number) => Preconditioner> } | undefined;
  /** Eigenpairs of H that are there already. */
  kept?: LowRank | undefined;
  /** What an earlier run did, to be done again. */
  steps?: readonly Step[] | undefined;
  /** Told of each route as it is taken. */
  onRoute?: ((decision: Decision) => void) | undefined;
}

export interface AutomaticSolution extends Solution {
  /** The λ that the answer is for. */
  damping: number;
  steps: Step[];
  why: string[];
}

/** Ends of CG after which the dense matrix still gives an answer. */
const unfinished = ['iteration-limit', 'stagnated'];

/**
 * (H + λI)⁻¹ V by whatever should multiply the fewest vectors. CG is begun, a block recursion where there are several right-hand
 * sides, and its own residuals tell how much it has to go: that costs nothing where CG is best. Where another route costs
 * clearly less, it is taken, from where CG got to: Kronecker factors, a low-rank approximation (if its eigenvalues, once they
 * are there, promise enough), or the dense matrix. The dense matrix is weighed first where p is small beside K, by a
 * few Lanczos steps from the first right-hand side.
 *
 * A change depends on the seconds that products take, so the steps are told, and can be taken again to the same bits.
 */
export async function automatic(
  operator: Operator,
  rightHandSides: Float64Array,
  options: AutomaticOptions,
): Promise<AutomaticSolution> {
  const { size } = operator;
  const { damping, direct, maxProducts } = options;
  const count = countRows(rightHandSides, size);
  const meter = new Meter(operator);
  const steps: Step[] = [];
  const why: string[] = [];
  const history: number[] = [];
  const told = (solution: Solution & { damping?: number }, others = 0): AutomaticSolution => ({
    ...{ damping, ...solution, steps, why, products: meter.passes + others },
    ...{ iterations: history.length, residualHistory: history },
  });
  const mostRank = options.mostRank ?? 1024;
  const solve = (own: Pick<PolicyOptions, 'preconditioner' | 'from' | 'iterations' | 'stop'>) =>
    solveByPolicy(meter, rightHandSides, { ...options, block: count > 1, onIndefinite: 'minres', ...own });
  const take = (decision: Decision) => {
    why.push(`${decision.route}: ${decision.why}`);
    steps.push({ route: decision.route, iterations: 0, ...(decision.rank && { rank: decision.rank }) });
    options.onRoute?.(decision);
  };

  const again = options.steps?.map(({ route, rank }): Decision => ({
    route,
    why: 'as before',
    ...(rank && { rank }),
  }));
  const made = new Preconditioners(meter, options);
  const budget = () => maxProducts - meter.vectors - count;
  /** There is no room for another iteration, with residuals computed anew, beside the check at the end. */
  const isSpent = () => !again && budget() < 2 * count;
  const situation = (own: Pick<Situation, 'history' | 'width' | 'forecast'>): Situation => ({
    ...{ size, count, tolerance: options.tolerance, ...own },
    ...{ taken: steps.map((step) => step.route), plain, bound: made.bound, mostRank },
    ...{ spent: meter.vectors, budget: budget(), seconds: meter.seconds },
    ...{ direct: direct?.seconds, kfac: options.kfac?.seconds },
  });
  let forecast: number | undefined;
  let plain: number | undefined;
  const first = async (): Promise<Decision> => {
    if (direct && isSmall(size, count) && size + count <= maxProducts)
      return { route: 'direct', why: `p = ${size}, which is no more than cg multiplies in two iterations` };
    if (options.kept)
      return { route: 'cg', why: `with ${options.kept.values.length} eigenpairs that were kept` };
    forecast = await look(meter, rightHandSides, count, options);
    if (forecast === undefined) return { route: 'cg', why: 'what it has to go is seen on the way' };
    const now = situation({ history: [], width: count, forecast });
    const better = changeOfRoute(now);
    if (better) plain = productsLeft(now);
    return better ?? { route: 'cg', why: `it should take about ${productsLeft(now)} products` };
  };
  let route = again?.[0] ?? (await first());
  let from: Stopped | undefined;
  for (;;) {
    take(route);
    const step = steps.at(-1)!;
    if (route.route === 'direct') {
      const solution = await direct!.solve();
      history.push(...solution.residualHistory);
      return told(solution, solution.products);
    }
    const preconditioner = await made.take(route, count);
    let next: Decision | undefined;
    const solution = await solve({
      ...{ preconditioner, from },
      iterations: isSpent() ? 0 : options.iterations,
      stop: (history, width) => {
        if (again) {
          if (history.length < options.steps![steps.length - 1]!.iterations) return false;
          next = again[steps.length];
          return true;
        }
        const now = situation({ history, width, forecast: plain ? undefined : forecast });
        next = changeOfRoute(now);
        if (next) plain ??= productsLeft(now);
        return next !== undefined || isSpent();
      },
    });
    history.push(...solution.residualHistory);
    step.iterations = solution.residualHistory.length;
    if (solution.stopped) {
      from = solution.stopped;
      if (!next) return told(await solve({ from, iterations: 0, preconditioner }));
      route = next;
    } else if (unfinished.includes(solution.status) && direct && size + count <= maxProducts - meter.vectors)
      route = {
        route: 'direct',
        why: `cg ended as ${solution.status} after ${solution.iterations} iterations`,
      };
    else return told(solution);
  }
}

/** Iterations that block CG should take, by some Lanczos steps from the first right-hand side, where these are worth it. */
async function look(
  operator: Operator,
  rightHandSides: Float64Array,
  count: number,
  { damping, tolerance, eigensolver, signal }: AutomaticOptions,
): Promise<number | undefined> {
  const { size } = operator;
  const steps = stepsOfLook(size, count);
  if (steps === 0) return undefined;
  const first = row(rightHandSides, 0, size);
  const [seen] = await tridiagonals(operator, {
    ...{ probe: () => first, probes: 1, steps, vectors: steps, signal },
  });
  const iterations = await blockIterations(quadrature(seen!, eigensolver), count, damping, tolerance);
  // The directions of so many span everything; rounding asks for one more.
  return Math.min(iterations, Math.ceil(size / count) + 1);
}

class Preconditioners {
  /** Iterations at most, by the condition number that the last one leaves. */
  bound: number | undefined;
  readonly #operator: Operator;
  readonly #options: AutomaticOptions;

  constructor(operator: Operator, options: AutomaticOptions) {
    this.#operator = operator;
    this.#options = options;
  }

  async take(
    { route, rank }: Decision,
    count: number,
  ): Promise<((damping: number) => Preconditioner) | undefined> {
    this.bound = undefined;
    if (route === 'kfac') return this.#options.kfac!.make();
    const lowRank = route === 'nystrom' ? await this.#approximate(rank!, count) : this.#options.kept;
    return lowRank && ((damping) => lowRankPreconditioner(lowRank, damping));
  }

  /** The rank is doubled while that costs less than the iterations that it spares. */
  async #approximate(maximumRank: number, count: number): Promise<LowRank> {
    const { damping, floor, tolerance, random, eigensolver, signal } = this.#options;
    const least = damping + floor;
    const iterations = (last: number) => iterationsAt((last + damping) / least, tolerance);
    const found = await nystrom(this.#operator, {
      ...{ damping: least, firstRank, maximumRank, random, eigensolver, signal },
      // Twice the rank spares about a third of the iterations, for eigenvalues that fall by powers of about 1.5.
      worthDoubling: (rank, last) => (count * iterations(last)) / 3 > rank,
    });
    // What the approximation misses is some times its last eigenvalue.
    this.bound = iterations(4 * (found.values.at(-1) ?? 0));
    return found;
  }
}

/** Counts passes and vectors, and tells how long one takes. */
class Meter implements Operator {
  readonly size: number;
  passes = 0;
  vectors = 0;
  #each: number[] = [];
  readonly #operator: Operator;

  constructor(operator: Operator) {
    this.#operator = operator;
    this.size = operator.size;
  }

  async multiply(block: Float64Array, count: number): Promise<Float64Array> {
    const began = performance.now();
    const product = await this.#operator.multiply(block, count);
    this.passes += 1;
    this.vectors += count;
    this.#each.push((performance.now() - began) / 1000 / count);
    return product;
  }

  /** Of a vector in a product, the median: a farm's first products take longer. */
  get seconds(): number {
    const sorted = this.#each.toSorted((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? 0;
  }
}
