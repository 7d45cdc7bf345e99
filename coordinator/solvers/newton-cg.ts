import { dropUseless, residualsOf, withDamping } from './damped.js';
import { lockstep } from './lockstep.js';
import { newtonCgAdvice } from './newton-cg-advice.js';
import { newtonDescent, type Descent } from './newton-descent.js';
import { Quadratic } from './quadratic.js';
import { scipyRules } from './scipy-rules.js';
import type { Operator, Solution, SolverOptions, Status } from './types.js';
import { worstStatus } from './types.js';
import { countRows, norm, row } from './vectors.js';

export interface NewtonCgOptions extends SolverOptions {
  /** λ in (H + λI). */
  damping: number;
  /** Stop once the mean absolute change of x in an iteration is no more than this: SciPy's `avextol`. */
  averageTolerance: number;
  /** The most Newton iterations. */
  iterations: number;
}

/** How one right-hand side went, with its status by SciPy's rules alone. */
export interface NewtonCgColumn extends Pick<Descent, 'status' | 'iterations' | 'lastInner'> {
  /** As SciPy counts: distinct points that f, and that ∇f, were asked for at; products with the Hessian for directions. */
  evaluations: { function: number; gradient: number; hessian: number };
}

/**
 * From what residual on SciPy's end is none. A small change of x is no convergence at 1e-3: float32 products leave about
 * κ·1e-7, κ the condition number of H + λI, which up to κ = 1e4 is no reason for that much. 1 is the residual of zero.
 */
const unsolved: Partial<Record<Status, number>> = { converged: 1e-3, 'precision-limited': 1 };

/**
 * The minimum of ½xᵀ(H + λI)x − vᵀx, which is (H + λI)⁻¹v, from x = v by Newton-CG with SciPy's rules. CG itself needs far
 * fewer products: this is here to be compared with.
 *
 * K right-hand sides are K such runs, which share passes over the data. The residual of each is computed anew at the end:
 * what SciPy calls converged is `stagnated` where that is 1e-3 or more, and an answer that is no better than zero is not handed out.
 */
export async function newtonCg(
  operator: Operator,
  rightHandSides: Float64Array,
  options: NewtonCgOptions,
): Promise<Solution & { runs: NewtonCgColumn[] }> {
  const { size } = operator;
  const damped = withDamping(operator, options.damping);
  const count = countRows(rightHandSides, size);
  let products = 0;
  const counted: Operator = {
    size,
    multiply: (block, columns) => {
      options.signal?.throwIfAborted();
      products += 1;
      return damped.multiply(block, columns);
    },
  };
  const histories: number[][] = Array.from({ length: count }, () => []);
  const runs = await lockstep(counted, count, async (own, k) => {
    const v = row(rightHandSides, k, size);
    const length = norm(v);
    const f = new Quadratic(own, v);
    const onProgress = (gradientNorms: readonly number[]) => {
      if (gradientNorms.length === histories[k]!.length) return;
      histories[k]!.push(length === 0 ? 0 : gradientNorms.at(-1)! / length);
      const residuals = histories.map((history) => history.at(-1) ?? 1);
      options.onProgress?.({
        measure: 'residual',
        iteration: Math.max(...histories.map((history) => history.length)) - 1,
        iterations: options.iterations,
        products,
        residuals,
        worst: Math.max(...residuals),
      });
    };
    const rules = scipyRules(f, options.averageTolerance);
    const run = await newtonDescent(f, v, rules, { ...options, onProgress });
    return { ...run, evaluations: { ...f.evaluations, hessian: run.products } };
  });
  const solutions = new Float64Array(rightHandSides.length);
  runs.forEach(({ theta }, k) => solutions.set(theta, k * size));
  const { relative } = await residualsOf(counted, rightHandSides, solutions, count);
  const columns = runs.map(({ status }, k) => confirmed(status, relative[k]!));
  dropUseless(solutions, relative, size);
  const longest = Math.max(...runs.map(({ iterations }) => iterations));
  return {
    solutions,
    status: worstStatus(columns),
    columns,
    advice: newtonCgAdvice(columns, relative, runs, options),
    iterations: longest,
    products,
    residualHistory: Array.from({ length: longest + 1 }, (_, i) =>
      Math.max(...histories.map((history) => history[i] ?? history.at(-1) ?? 1)),
    ),
    trueResiduals: relative,
    runs,
  };
}

/** How a run ended, given the residual of its answer: SciPy's rules see how far x moves and f falls, not what is left. */
function confirmed(status: Status, residual: number): Status {
  if (!Number.isFinite(residual)) return 'diverged';
  return residual < (unsolved[status] ?? Infinity) ? status : 'stagnated';
}
