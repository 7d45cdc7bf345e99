import { limits } from '../../../protocol/names.js';
import { directSchema } from '../../../protocol/methods.js';
import { chooseMethod, type Choice } from '../choose-method.js';
import { solveByCg } from './cg.js';
import { solveByDirect } from './direct.js';
import type { SolveBy, Solved } from './method.js';

/** Ends of CG after which the dense matrix still gives an answer. */
const unfinished = ['iteration-limit', 'stagnated'];

/** By the method that should cost the fewest products; where CG does not get there, and p allows it, by the direct one. */
export const solveByAuto: SolveBy<'auto'> = async ({ tolerance }, problem, context) => {
  const { size } = context.operator;
  const choice = chooseMethod(size, problem.count, tolerance);
  const { method } = choice;
  if (method.name === 'direct') return told(choice, await solveByDirect(method, problem, context));
  const solved = await solveByCg(method, problem, context);
  if (!unfinished.includes(solved.solution.status) || size > limits.denseParameters)
    return told(choice, solved);
  const direct = directSchema.parse({ name: 'direct', tolerance });
  const why = `cg ended as ${solved.solution.status} after ${solved.solution.iterations} iterations`;
  return told({ method: direct, why }, await solveByDirect(direct, problem, context));
};

function told({ method, why }: Choice, { solution, report, ...rest }: Solved): Solved {
  const advice = `auto took ${method.name}: ${why}. ${solution.advice}`;
  return {
    ...rest,
    solution: { ...solution, advice },
    report: { ...report, chosen: { method, why } },
  };
}
