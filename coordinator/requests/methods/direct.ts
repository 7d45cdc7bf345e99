import { inThread } from '../../dense/in-thread.js';
import { dropUseless, residualsOf, withDamping } from '../../solvers/damped.js';
import { directAdvice } from '../../solvers/direct-advice.js';
import { worstStatus, type Operator, type Status } from '../../solvers/types.js';
import { solverOptions } from '../solver-options.js';
import type { SolveBy } from './method.js';

/** Columns of one product: two tasks for each worker, so that progress is seen. */
const columnsAtOnce = 64;

/**
 * (H + λI)⁻¹ V by factorising the dense matrix: p products, then p³/3 multiplications in float64. The coordinator holds
 * p² float64 values and as many again while it factorises, 1.1 GB for p = 8,192.
 */
export const solveByDirect: SolveBy<'direct'> = async ({ tolerance }, problem, context) => {
  const { operator, signal, stage } = context;
  const { block, count, damping } = problem;
  const { size } = operator;
  const { onProgress } = solverOptions(context);
  const matrix = await assemble(operator, (columns) =>
    onProgress?.({
      measure: 'residual',
      iteration: columns,
      iterations: size,
      products: columns,
      residuals: [],
      worst: NaN,
    }),
  );
  stage('factorising');
  const dense = { matrix, size, damping, rightHandSides: block, count };
  const { solutions, definite, conditionNumber } = await inThread('solveDense', dense, signal);
  const singular = !solutions.every(Number.isFinite);
  if (singular) solutions.fill(0);
  const { relative } = await residualsOf(withDamping(operator, damping), block, solutions, count);
  dropUseless(solutions, relative, size);
  const columns = relative.map((residual): Status => {
    if (residual <= tolerance) return 'converged';
    if (singular) return 'indefinite';
    return residual < 1 ? 'precision-limited' : 'stagnated';
  });
  const worst = Math.max(...relative);
  return {
    solution: {
      solutions,
      status: worstStatus(columns),
      columns,
      advice: directAdvice({ damping, tolerance, definite, singular, conditionNumber, worst }),
      iterations: 1,
      products: size + 1,
      residualHistory: [worst],
      trueResiduals: relative,
    },
    report: { damping, ...(Number.isFinite(conditionNumber) && { conditionNumber }) },
  };
};

/** H, row by row, in memory that threads share: products with the columns of the identity. */
async function assemble(
  operator: Operator,
  onColumns: (columns: number) => void,
): Promise<SharedArrayBuffer> {
  const { size } = operator;
  const buffer = new SharedArrayBuffer(8 * size * size);
  const matrix = new Float64Array(buffer);
  for (let first = 0; first < size; first += columnsAtOnce) {
    const count = Math.min(columnsAtOnce, size - first);
    const identity = new Float64Array(count * size);
    for (let k = 0; k < count; k++) identity[k * size + first + k] = 1;
    matrix.set(await operator.multiply(identity, count), first * size);
    onColumns(first + count);
  }
  return buffer;
}
