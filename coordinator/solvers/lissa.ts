import type { ChainRunner } from './chains.js';
import { residualsOf, withDamping } from './damped.js';
import { lissaAdvice } from './lissa-advice.js';
import { average, residualErrors } from './lissa-answer.js';
import { LissaChain, type Limit } from './lissa-chain.js';
import type { Operator, Solution, SolverOptions, Status } from './types.js';
import { worstStatus } from './types.js';
import { countRows, dot, norm, row } from './vectors.js';

export interface LissaOptions extends SolverOptions {
  /** Divides H: about the largest eigenvalue of a minibatch's H + λI. Convergence needs more than half of it. */
  scale: number;
  damping: number;
  /**
   * `exact` (default): `damping` is λ in (H + λI)⁻¹, shrink = 1 − damping/scale. `authors` (Koh & Liang's code):
   * shrink = 1 − damping, so that the effective λ is damping·scale.
   */
  convention?: 'exact' | 'authors';
  /** Rows of a minibatch. */
  batchSize: number;
  /** Passes over the whole dataset, at most if there is a tolerance; or what they are with a scale. */
  depth: number | ((scale: number) => number);
  /**
   * A right-hand side of a chain ends once the running estimate of its residual is this small. Where the true residual is
   * not, then, it goes on until the run is twice as long, and so on.
   */
  tolerance?: number | undefined;
  /** The answer of a chain is the mean over the tail of its run instead of its last state. Default false. */
  average?: boolean | undefined;
  /** How many times to begin anew with a larger scale after chains diverged. Default 0. */
  restarts?: number | undefined;
  /** A scale that is known to do, asked for when one has not; the next, or the one advised, is no less. */
  saferScale?: (() => Promise<number>) | undefined;
  /** Independent chains that are averaged. */
  samples: number;
  seed: number;
  /** Right-hand sides that travel together in one chain. */
  blockSize: number;
}

export interface LissaSolution extends Solution {
  /** λ of the (H + λI)⁻¹ that was estimated and that `trueResiduals` refer to. */
  effectiveDamping: number;
  /** The scale of the chains that the answer is made of. */
  scale: number;
  /** Scales that diverged before, and the steps that a chain went until that was seen. */
  restarts: { scale: number; steps: number }[];
  /** Passes at most, with that scale. */
  depth: number;
  /** Steps of the longest chain. */
  steps: number;
  /** The largest running estimate of a residual, after each pass. */
  estimates: number[];
  /** Standard error of the mean over samples, ‖·‖ relative to ‖s‖, per right-hand side; null with one sample. */
  standardErrors: number[] | null;
  /** What that error amounts to in the true residual, relative to ‖v‖: its part that more samples would take away. */
  residualErrors: number[] | null;
}

/**
 * Stochastic estimation of (H + λI)⁻¹ v by the truncated Neumann series (LiSSA: Agarwal, Bullins & Hazan 2017; for
 * influence functions Koh & Liang 2017): S₀ = V, S ← V + shrink·S − (H_B S)/scale over minibatches B, answer S/scale.
 * In expectation the error shrinks by |1 − (μ+λ)/scale| a step along an eigenvector of H with eigenvalue μ: it
 * converges if 0 < μ + λ < 2·scale for all of them.
 *
 * The answer has noise, which more samples, averaging or a larger scale or batch size reduce, and a bias of the order of
 * 1/scale from sampling without replacement within a pass, which the standard error does not show and the true residual
 * does. (On a small logistic problem: bias 5e-3 at scale 5, 1.6e-3 at scale 20; sampling with replacement had none that
 * could be seen, and ten times the noise.)
 *
 * What differs from the authors' code: how minibatches are drawn is the runner's (by default each pass visits every row
 * once, shard by shard in a fresh seeded order), a short last minibatch is weighted by its rows (`ChainRunner`), the damping
 * is λ unless `convention` says otherwise, convergence is judged by the mean residual over the tail of the run
 * (`RunningTail`), divergence by growth (`GrowthGuard`), whereupon all chains begin anew with at least twice the scale, and
 * the true residual is computed at the end by one product with the whole dataset.
 * @throws RangeError if a right-hand side is not finite.
 */
export async function lissa(
  operator: Operator,
  runner: ChainRunner,
  rightHandSides: Float64Array,
  options: LissaOptions,
): Promise<LissaSolution> {
  const { size } = operator;
  const { damping, signal, samples, blockSize } = options;
  const authors = options.convention === 'authors';
  const count = countRows(rightHandSides, size);
  if (!rightHandSides.every(Number.isFinite)) throw new RangeError('a right-hand side is not finite');
  const rows = runner.shards.reduce((sum, shard) => sum + shard.rows, 0);
  const depthAt = (of: number) => (typeof options.depth === 'number' ? options.depth : options.depth(of));
  const restarts: LissaSolution['restarts'] = [];
  let scale = options.scale;
  let shrink = 1;
  let products = 0;
  let hopeless = false;
  let chains: LissaChain[];
  for (;;) {
    const mayRestart = restarts.length < (options.restarts ?? 0);
    chains = startChains(rightHandSides, count, size, options);
    shrink = authors ? 1 - damping : 1 - damping / scale;
    await run(chains, { scale, shrink, stopTogether: mayRestart });
    const worst = firstDiverged(chains);
    if (!worst || !mayRestart) break;
    signal?.throwIfAborted();
    const curvature = await largestCurvature(operator, worst);
    products += 1;
    hopeless = curvature + (authors ? damping * scale : damping) < 0;
    if (hopeless) break;
    restarts.push({ scale, steps: worst.steps });
    const safer = (await options.saferScale?.()) ?? 0;
    scale = Math.max(2 * scale, curvature + (authors ? 0 : damping), safer);
  }
  const effectiveDamping = authors ? damping * scale : damping;
  const damped = withDamping(operator, effectiveDamping);

  const ended = (k: number) => chains.filter((chain) => chain.block === Math.floor(k / blockSize));
  let answer = await answered();
  // Noise may have made the estimates too good: on, where the true residual says so.
  while (options.tolerance !== undefined && !chains.some((chain) => chain.diverged)) {
    const early = [...answer.relative.keys()].filter(
      (k) =>
        answer.relative[k]! > options.tolerance! && ended(k).some((chain) => chain.isReady(k % blockSize)),
    );
    if (early.length === 0) break;
    for (const k of early) for (const chain of ended(k)) chain.unready(k % blockSize);
    const before = products;
    await run(chains, { scale, shrink, stopTogether: false });
    if (products === before) break;
    answer = await answered();
  }
  const { solutions, standardErrors, deviations, relative, block } = answer;
  const errors =
    standardErrors && (await residualErrors(damped, rightHandSides, deviations, samples, signal));
  products += deviations.length;

  const columns = relative.map((residual, k): Status => {
    if (norm(row(rightHandSides, k, size)) === 0) return 'converged';
    if (hopeless || ended(k).some((chain) => chain.diverged)) return 'diverged';
    if (residual >= 1) return 'stagnated';
    if (options.tolerance === undefined) return 'completed';
    if (residual <= options.tolerance) return 'converged';
    return 'iteration-limit';
  });
  const passes = Math.max(...chains.map((chain) => chain.changes.length));
  const worstOf = (of: (chain: LissaChain) => number[][]) =>
    Array.from({ length: passes }, (_, pass) =>
      Math.max(...chains.flatMap((chain) => of(chain)[pass] ?? [])),
    );
  const residualHistory = worstOf((chain) => chain.changes);
  const curvatures = relative.map((_, k) => {
    const s = row(solutions, k, size);
    const v = row(rightHandSides, k, size);
    // sᵀ(v − r) = sᵀ(H+λI)s
    return (dot(s, v) - dot(s, row(block, k, size))) / dot(s, s) - effectiveDamping;
  });
  const solution = {
    solutions,
    status: worstStatus(columns),
    columns,
    iterations: passes,
    products,
    residualHistory,
    trueResiduals: relative,
    effectiveDamping,
    scale,
    depth: depthAt(scale),
    restarts,
    steps: Math.max(...chains.map((chain) => chain.steps)),
    estimates: worstOf((chain) => chain.estimates),
    standardErrors,
    residualErrors: errors,
  };
  const safer = columns.includes('diverged') && !hopeless ? await options.saferScale?.() : undefined;
  return { ...solution, advice: lissaAdvice(solution, curvatures, options, safer) };

  /** The mean over the samples as they are now, and its true residual. */
  async function answered() {
    const mean = average(chains, { count, size, samples, scale });
    signal?.throwIfAborted();
    products += 1;
    return { ...mean, ...(await residualsOf(damped, rightHandSides, mean.solutions, count)) };
  }

  /** Runs all chains of an attempt, side by side. */
  async function run(chains: LissaChain[], { scale, shrink, stopTogether }: Attempt): Promise<void> {
    const { seed, batchSize, tolerance } = options;
    const depth = depthAt(scale);
    const limit: Limit = { visits: Infinity };
    const onTask = (taskRows: number) => {
      products += taskRows / rows;
      signal?.throwIfAborted();
    };
    const schedule = { seed, batchSize, scale, shrink, depth, tolerance };
    await Promise.all(
      chains.map((chain) =>
        chain
          .run(runner, schedule, stopTogether ? limit : { visits: Infinity }, onTask, () => report(chains))
          .catch((error: unknown) => {
            // The other chains stop at their next task.
            for (const other of chains) other.stop();
            throw error;
          }),
      ),
    );
  }

  function report(chains: LissaChain[]): void {
    if (!options.onProgress) return;
    const measure = options.tolerance === undefined ? 'change' : 'residual';
    const residuals = new Array<number>(count).fill(0);
    for (const { columns, changes, estimate } of chains)
      (measure === 'change' ? (changes.at(-1) ?? []) : estimate).forEach((value, k) => {
        residuals[columns.start + k] = Math.max(residuals[columns.start + k]!, value);
      });
    const passes = chains.reduce((sum, chain) => sum + chain.passes, 0);
    options.onProgress({
      measure,
      iteration: Math.floor(passes / chains.length),
      iterations: depthAt(scale),
      products,
      residuals,
      worst: Math.max(...residuals),
    });
  }
}

interface Attempt {
  scale: number;
  shrink: number;
  stopTogether: boolean;
}

function startChains(v: Float64Array, count: number, size: number, options: LissaOptions): LissaChain[] {
  const chains: LissaChain[] = [];
  for (let sample = 0; sample < options.samples; sample += 1)
    for (let start = 0; start < count; start += options.blockSize) {
      const columns = { start, end: Math.min(count, start + options.blockSize) };
      const block = start / options.blockSize;
      chains.push(new LissaChain(sample, block, columns, v, size, options.average ?? false));
    }
  return chains;
}

/** Of those that diverged after the fewest tasks, the first by number. */
function firstDiverged(chains: LissaChain[]): LissaChain | undefined {
  const diverged = chains.filter((chain) => chain.diverged);
  const fewest = Math.min(...diverged.map((chain) => chain.visits));
  return diverged.find((chain) => chain.visits === fewest);
}

/**
 * The extreme sᵀHs/sᵀs over the states before the growth, the negative one if there is one: close to the eigenvalue that
 * the chain diverges along. A chain that diverges in its first task has its right-hand sides for states.
 */
async function largestCurvature(operator: Operator, { state, columns }: LissaChain): Promise<number> {
  const block = Float64Array.from(state);
  const count = columns.end - columns.start;
  const product = await operator.multiply(block, count);
  const quotients = Array.from({ length: count }, (_, k) => {
    const s = row(block, k, operator.size);
    const square = dot(s, s);
    return square === 0 ? 0 : dot(s, row(product, k, operator.size)) / square;
  });
  const lowest = Math.min(...quotients);
  return lowest < 0 ? lowest : Math.max(...quotients);
}
