import { residualsOf, withDamping } from './damped.js';
import { lockstep } from './lockstep.js';
import { moreThuente, type Phi } from './more-thuente.js';
import { newtonCgAdvice } from './newton-cg-advice.js';
import { Quadratic, type Evaluations } from './quadratic.js';
import { truncatedConjugateGradient } from './truncated-conjugate-gradient.js';
import type { Operator, Solution, SolverOptions, Status } from './types.js';
import { worstStatus } from './types.js';
import { absoluteSum, countRows, dot, norm, row } from './vectors.js';
import { zoomSearch } from './zoom.js';

export interface NewtonCgOptions extends SolverOptions {
  /** λ in (H + λI). */
  damping: number;
  /** Stop once the mean absolute change of x in an iteration is no more than this: SciPy's `avextol`. */
  averageTolerance: number;
  /** The most Newton iterations. */
  iterations: number;
}

/** How one right-hand side went. */
export interface NewtonCgColumn {
  x: Float64Array;
  status: Status;
  iterations: number;
  evaluations: Evaluations;
  /** ‖v − (H + λI)x‖/‖v‖ at the start and after each iteration. */
  residuals: number[];
}

const wolfe = { c1: 1e-4, c2: 0.9 };

/**
 * The minimum of ½xᵀ(H + λI)x − vᵀx, which is (H + λI)⁻¹v, by Newton-CG from x = v as SciPy's `fmin_ncg` goes about it
 * (`scipy.optimize._optimize._minimize_newtoncg`, 1.15): CG until ‖r‖₁ ≤ min(½, √‖∇f‖₁)·‖∇f‖₁, at most 20·p iterations;
 * a strong Wolfe line search (c1 = 1e-4, c2 = 0.9); the end where ‖Δx‖₁ ≤ p·avextol.
 *
 * What differs from it: K right-hand sides are K such runs, which share passes over the data; negative curvature ends a
 * run as `indefinite`, since a quadratic that has it has no minimum (SciPy goes on downhill to the limit of iterations); and
 * whatever a run ended by, the residual is computed anew. CG itself needs far fewer products: this is here to be compared with.
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
  const soFar: number[][] = Array.from({ length: count }, () => []);
  const runs = await lockstep(counted, count, (own, k) =>
    minimise(new Quadratic(own, row(rightHandSides, k, size)), options, (residual) => {
      soFar[k]!.push(residual);
      const residuals = soFar.map((history) => history.at(-1) ?? 1);
      options.onProgress?.({
        measure: 'residual',
        iteration: Math.max(...soFar.map((history) => history.length)) - 1,
        iterations: options.iterations,
        products,
        residuals,
        worst: Math.max(...residuals),
      });
    }),
  );
  const solutions = new Float64Array(rightHandSides.length);
  runs.forEach(({ x }, k) => solutions.set(x, k * size));
  const { relative } = await residualsOf(counted, rightHandSides, solutions, count);
  const columns = runs.map(({ status }) => status);
  const longest = Math.max(...runs.map(({ iterations }) => iterations));
  return {
    solutions,
    status: worstStatus(columns),
    columns,
    advice: newtonCgAdvice(runs, relative, options),
    iterations: longest,
    products,
    residualHistory: Array.from({ length: longest + 1 }, (_, i) =>
      Math.max(...runs.map(({ residuals }) => residuals[i] ?? residuals.at(-1)!)),
    ),
    trueResiduals: relative,
    runs,
  };
}

async function minimise(
  f: Quadratic,
  { averageTolerance, iterations: limit, signal }: NewtonCgOptions,
  onIteration: (residual: number) => void,
): Promise<NewtonCgColumn> {
  const { size } = f;
  const length = norm(f.v);
  let x: Float64Array = f.v.slice();
  let value = await f.value(x);
  let before: number | undefined;
  let iterations = 0;
  const residuals: number[] = [];
  const end = (status: Status): NewtonCgColumn => ({
    x,
    status,
    iterations,
    evaluations: f.evaluations,
    residuals,
  });
  for (let change = Infinity; ;) {
    const gradient = await f.gradient(x);
    residuals.push(length === 0 ? 0 : norm(gradient) / length);
    onIteration(residuals.at(-1)!);
    if (!Number.isFinite(value)) return end('diverged');
    if (change <= size * averageTolerance) return end('converged');
    if (iterations >= limit) return end('iteration-limit');
    const steepness = absoluteSum(gradient);
    const target = Math.min(0.5, Math.sqrt(steepness)) * steepness;
    const {
      direction,
      products,
      end: how,
    } = await truncatedConjugateGradient(f.hessian, gradient, {
      enough: (residual) => absoluteSum(residual) <= target,
      iterations: 20 * size,
      flat: 3 * Number.EPSILON,
      signal,
    });
    f.evaluations.hessian += products;
    if (how === 'negative' || how === 'iterations') return end('indefinite');

    const from = x;
    const at = (step: number) => from.map((xi, i) => xi + step * direction[i]!);
    const phi: Phi = {
      value: (step) => f.value(at(step)),
      slope: async (step) => dot(await f.gradient(at(step)), direction),
    };
    const start = { value, slope: dot(gradient, direction) };
    const guess =
      before === undefined || start.slope === 0
        ? 1
        : Math.min(1, (1.01 * 2 * (value - before)) / start.slope);
    const first = guess < 0 ? 1 : guess;
    const found =
      (await moreThuente(phi, start, first, wolfe)) ?? (await zoomSearch(phi, start, first, wolfe));
    if (!found) return end('precision-limited');
    x = at(found.step);
    before = value;
    value = found.value;
    iterations += 1;
    change = found.step * absoluteSum(direction);
  }
}
