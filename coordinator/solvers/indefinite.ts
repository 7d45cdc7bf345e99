import type { ConjugateGradientOptions } from './conjugate-gradient.js';
import { conjugateGradient } from './conjugate-gradient.js';
import type { Stopped } from './krylov.js';
import { lanczos } from './lanczos.js';
import { minres } from './minres.js';
import type { Preconditioner } from './preconditioner.js';
import type { SmallEigensolver } from './small-eigen.js';
import type { Operator, Solution } from './types.js';
import { worstStatus } from './types.js';
import { row, show } from './vectors.js';

/**
 * What to do where H + λI is not positive definite. `fail`: end as `indefinite`, with a λ that would do; `shift`: raise λ until
 * it is; `minres`: solve the indefinite system as it is.
 */
export type IndefinitePolicy = 'fail' | 'shift' | 'minres';

export interface PolicyOptions extends Omit<ConjugateGradientOptions, 'preconditioner' | 'stopAtIndefinite'> {
  onIndefinite: IndefinitePolicy;
  /** M⁻¹ for a λ. */
  preconditioner?: ((damping: number) => Preconditioner) | undefined;
  /** Random vector number `index`, length p. */
  random: (index: number) => Float64Array;
  eigensolver: SmallEigensolver;
}

export interface PolicySolution extends Solution {
  /** The λ that the answer is for. */
  damping: number;
  /** Where `stop` ended it. */
  stopped?: Stopped | undefined;
  /** Whether a direction with pᵀ(H+λI)p ≤ 0 was met, λ the one asked for. */
  indefinite: boolean;
  /** The smallest eigenvalue of H found then, and ‖Hx − θx‖ of its vector; not with `minres`. */
  lowest?: { value: number; residual: number };
}

/** An eigenvalue this small beside the largest is zero within the rounding of float32 products. */
const rounding = 1e-6;
/** Lanczos steps for the smallest eigenvalue, and the part of the curvature met that it is then uncertain by. */
const lowestSteps = 30;
const lowestAccuracy = 0.1;
/** Times that λ is raised: each time it at least doubles, so that this is no limit in practice. */
const raises = 20;

/** CG, and where it meets pᵀ(H+λI)p ≤ 0, what the policy says. The passes of all of it are counted. */
export async function solveByPolicy(
  operator: Operator,
  rightHandSides: Float64Array,
  { onIndefinite, preconditioner, ...options }: PolicyOptions,
): Promise<PolicySolution> {
  let { damping } = options;
  let products = 0;
  let iterations = 0;
  const residualHistory: number[] = [];
  const attempt = async () => {
    const solution = await conjugateGradient(operator, rightHandSides, {
      ...options,
      damping,
      preconditioner: preconditioner?.(damping),
      stopAtIndefinite: onIndefinite !== 'fail',
    });
    products += solution.products;
    iterations += solution.iterations;
    residualHistory.push(...solution.residualHistory);
    return solution;
  };

  let solution = await attempt();
  const indefinite = solution.negative !== undefined;
  let lowest: { value: number; residual: number } | undefined;
  for (let raised = 0; solution.negative && raised < raises; raised += 1) {
    if (onIndefinite === 'minres') break;
    const found = await lowestEigenvalue(operator, solution.negative, solution.largestCurvature, {
      ...options,
      damping,
    });
    products += found.products;
    if (!lowest || found.value < lowest.value) lowest = found;
    const enough = dampingThatDoes(lowest, solution.largestCurvature);
    if (onIndefinite === 'fail') {
      const met = solution.columns.filter((status) => status === 'indefinite').length;
      const advice =
        `${solution.otherAdvice} ${met} of ${solution.columns.length} right-hand sides met a direction of negative or no ` +
        `curvature. ${describe(damping, lowest, solution.largestCurvature)} Use a damping of ${show(enough)}; or let λ be ` +
        `raised (--on-indefinite shift) or the indefinite system be solved (--on-indefinite minres); or use the ` +
        `gauss-newton curvature, which is never negative.`;
      return {
        ...solution,
        advice: advice.trim(),
        products,
        iterations,
        damping,
        indefinite,
        lowest: told(lowest),
      };
    }
    damping = Math.max(enough, 2 * damping);
    solution = await attempt();
  }

  if (onIndefinite === 'minres' && solution.negative) {
    const rest = await finishByMinres(operator, rightHandSides, solution, options);
    return {
      ...rest,
      products: products + rest.products,
      iterations: iterations + rest.iterations,
      residualHistory: [...residualHistory, ...rest.residualHistory],
      damping,
      indefinite,
    };
  }
  const advice = lowest
    ? `${describe(options.damping, lowest, solution.largestCurvature)} λ was raised to ${show(damping)}, and the answers are for that λ. ${solution.advice}`
    : solution.advice;
  return {
    ...{ ...solution, advice, products, iterations, residualHistory, damping, indefinite },
    ...(lowest && { lowest: told(lowest) }),
  };
}

const told = ({ value, residual }: { value: number; residual: number }) => ({ value, residual });

/** The smallest eigenvalue of H, by Lanczos from a direction of negative curvature. */
async function lowestEigenvalue(
  operator: Operator,
  { direction, curvature }: { direction: Float64Array; curvature: number },
  largest: number,
  options: Omit<PolicyOptions, 'onIndefinite' | 'preconditioner'>,
) {
  const met = Math.abs(curvature - options.damping);
  const tolerance = Math.max(rounding, lowestAccuracy * (met / Math.max(largest, met)));
  const { values, residuals, iterations } = await lanczos(operator, {
    signal: options.signal,
    wanted: { largest: 0, smallest: 1 },
    tolerance,
    iterations: lowestSteps,
    blockSize: 1,
    basisSize: lowestSteps + 1,
    random: (index) => (index === 0 ? direction.slice() : options.random(index)),
    eigensolver: options.eigensolver,
  });
  // The curvature that was met is a bound, whatever Lanczos makes of it.
  return {
    value: Math.min(values[0]!, curvature - options.damping),
    residual: residuals[0]!,
    products: iterations,
  };
}

/** A λ with which the smallest eigenvalue of H + λI is about half of what is missing, and no less than can be told. */
function dampingThatDoes(lowest: { value: number; residual: number }, largest: number): number {
  const size = Math.abs(lowest.value);
  const room = size <= rounding * largest ? 1e-3 * largest : Math.max(size / 2, lowest.residual);
  return Math.max(0, -lowest.value) + (room || 1);
}

function describe(damping: number, lowest: { value: number; residual: number }, largest: number): string {
  const at = lowest.value + damping;
  return Math.abs(at) <= rounding * largest
    ? `H + ${show(damping)}·I is singular within rounding: its smallest eigenvalue is about ${show(at)}, the largest at least ${show(largest)}.`
    : `H + ${show(damping)}·I is not positive definite: its smallest eigenvalue is about ${show(at)} (± ${show(lowest.residual)}).`;
}

/** MINRES for the right-hand sides that CG has not solved. */
async function finishByMinres(
  operator: Operator,
  rightHandSides: Float64Array,
  solution: Solution,
  options: Omit<PolicyOptions, 'onIndefinite' | 'preconditioner'>,
): Promise<Solution> {
  const { size } = operator;
  const open = solution.columns.flatMap((status, k) => (status === 'converged' ? [] : [k]));
  const rest = new Float64Array(open.length * size);
  open.forEach((k, place) => rest.set(row(rightHandSides, k, size), place * size));
  const found = await minres(operator, rest, options);
  const [columns, trueResiduals] = [solution.columns.slice(), solution.trueResiduals.slice()];
  open.forEach((k, place) => {
    row(solution.solutions, k, size).set(row(found.solutions, place, size));
    columns[k] = found.columns[place]!;
    trueResiduals[k] = found.trueResiduals[place]!;
  });
  return {
    ...found,
    solutions: solution.solutions,
    columns,
    trueResiduals,
    status: worstStatus(columns),
    advice: `CG met a direction of negative curvature, so MINRES solved the indefinite system. ${found.advice}`,
  };
}
