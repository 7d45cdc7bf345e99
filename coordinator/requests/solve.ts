import type { MethodName } from '../../protocol/methods.js';
import type { SolveRequest } from '../../protocol/requests.js';
import { autoDamping } from './auto-damping.js';
import type { Context, Outcome } from './context.js';
import { solveByAuto } from './methods/auto.js';
import { solveByArnoldi } from './methods/arnoldi.js';
import { solveByCg } from './methods/cg.js';
import { solveByDirect } from './methods/direct.js';
import { solveByLissa } from './methods/lissa.js';
import { solveByMinres } from './methods/minres.js';
import type { Problem, SolveBy, Solved } from './methods/method.js';
import { solveByNewtonCg } from './methods/newton-cg.js';
import { rightHandSides } from './right-hand-sides.js';

const methods: { [Name in MethodName]: SolveBy<Name> } = {
  auto: solveByAuto,
  arnoldi: solveByArnoldi,
  cg: solveByCg,
  direct: solveByDirect,
  lissa: solveByLissa,
  minres: solveByMinres,
  'newton-cg': solveByNewtonCg,
};

/** s = (H + λI)⁻¹ v for the request's right-hand sides, by the request's method. */
export async function solve(request: SolveRequest, context: Context): Promise<Outcome> {
  const { method } = request;
  const { block, count } = await rightHandSides(context);
  const chosen = request.damping === 'auto' ? await autoDamping(context) : undefined;
  const damping = chosen?.damping ?? (request.damping as number);
  context.stage(method.name);
  const { solution, report, columns, warnings } = await solveBy(method, { block, count, damping }, context);
  return {
    status: solution.status,
    advice: chosen ? `${chosen.why}. ${solution.advice}` : solution.advice,
    vectors: { file: 'solution.arrow', values: solution.solutions, count },
    report: {
      columns: solution.columns.map((status, k) => {
        const trueResidual = solution.trueResiduals[k]!;
        // JSON has no number that is not finite.
        return { status, ...(Number.isFinite(trueResidual) && { trueResidual }), ...columns?.[k] };
      }),
      iterations: solution.iterations,
      residualHistory: solution.residualHistory,
      ...report,
    },
    warnings: warnings ?? [],
  };
}

function solveBy<Name extends MethodName>(
  method: SolveRequest['method'] & { name: Name },
  problem: Problem,
  context: Context,
): Promise<Solved> {
  const by = methods[method.name] as SolveBy<MethodName>;
  return by(method, problem, context);
}
