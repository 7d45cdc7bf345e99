import { Option, type Command } from 'commander';
import { preconditioners, type MethodName } from '../../protocol/methods.js';
import type { RequestInput } from '../../protocol/requests.js';
import { samplings } from '../../protocol/minibatch.js';
import { orAuto, parseCount, parseInteger, parsePositive } from '../options.js';
import { present, unused } from './option-fields.js';

type MethodInput = Extract<RequestInput, { type: 'solve' }>['method'];

/** What the options of all methods come to, under the names of the methods' fields. */
export type MethodOptions = { method: MethodName } & Record<string, unknown>;

const tolerance = option(
  '--tolerance <number>',
  'converged at ‖r‖ ≤ tolerance·‖v‖ (1e-5; lissa 0.02, arnoldi 0.01)',
  parsePositive,
);

const maxIterations = option('--max-iterations <n>', 'iterations at most (500; newton-cg: 100)', parseCount);
const seed = option('--seed <n>', 'seed of everything random (0)', parseInteger);

/** The options of each method: its fields, in the order of the help. One that several methods share is given once. */
const options: Record<MethodName, Option[]> = {
  auto: [tolerance, option('--max-products <n>', 'the budget: vectors multiplied at most', parseCount), seed],
  arnoldi: [
    option('--rank <r>', 'eigenpairs of H (20)', parseCount),
    option('--complement <what>', 'H beside the eigenvectors (midpoint)').choices([
      ...['midpoint', 'l2', 'smallest', 'drop'],
    ]),
    tolerance,
    maxIterations,
    seed,
  ],
  cg: [
    tolerance,
    maxIterations,
    option('--block', 'one recursion for all right-hand sides: fewer passes, more arithmetic between them'),
    option('--preconditioner <name>', 'none, jacobi, nystrom, or kfac (none)').choices([...preconditioners]),
    option('--probes <n>', 'random vectors for jacobi (32)', parseCount),
    option('--max-rank <n>', 'the most vectors of nystrom (256)', parseCount),
    seed,
    option('--on-indefinite <policy>', 'fail, shift (raise λ), or minres (fail)').choices([
      'fail',
      'shift',
      'minres',
    ]),
  ],
  minres: [tolerance, maxIterations],
  direct: [tolerance],
  lissa: [
    option('--scale <number>', 'about the largest eigenvalue of a minibatch (auto)', orAuto(parsePositive)),
    option('--batch-size <n>', 'rows of a minibatch (auto)', orAuto(parseCount)),
    option('--depth <n>', 'passes over the dataset (auto: until the tolerance)', orAuto(parseCount)),
    tolerance,
    option('--average', 'the mean over the tail of each chain is its answer (so if depth is auto)'),
    option('--restarts <n>', 'larger scales to try where chains diverge (8)', parseInteger),
    option(
      '--sampling <how>',
      'minibatches: of a pass, with replacement, or from all shards (epoch)',
    ).choices([...samplings]),
    option('--samples <n>', 'chains that are averaged (1)', parseCount),
    seed,
    option('--block-size <n>', 'right-hand sides of a chain (16)', parseCount),
    option('--convention <name>', 'exact, or authors (the damping is not divided by scale)').choices([
      'exact',
      'authors',
    ]),
  ],
  'newton-cg': [
    option(
      '--average-tolerance <number>',
      'stop at this mean change of x, SciPy’s avextol (1e-8)',
      parsePositive,
    ),
    maxIterations,
  ],
};

function option(flags: string, description: string, parse?: (text: string) => unknown): Option {
  const made = new Option(flags, description);
  return parse ? made.argParser(parse) : made;
}

/** `--method`, and the options of every method, each saying whose it is. */
export function addMethodOptions(command: Command): Command {
  const names = Object.keys(options) as MethodName[];
  command.addOption(
    new Option(
      '--method <name>',
      'how: conjugate gradients, the dense matrix (p ≤ 8,192), stochastic estimation, … (docs/solvers.md)',
    )
      .choices(names)
      .default('cg'),
  );
  const added = new Set<string>();
  for (const { flags, long, description, parseArg, argChoices } of Object.values(options).flat()) {
    if (added.has(long!)) continue;
    added.add(long!);
    const owners = names.filter((name) => options[name].some((other) => other.long === long));
    const made = new Option(flags, `${owners.join(', ')}: ${description}`);
    if (argChoices) made.choices(argChoices);
    else if (parseArg) made.argParser(parseArg);
    command.addOption(made);
  }
  return command;
}

/** The method of a request. @throws BadRequestError for an option that its method does not have, or lacks */
export function readMethod(given: MethodOptions): MethodInput {
  const { method } = given;
  const own = new Set(options[method].map((each) => each.attributeName()));
  const all = new Map(
    Object.values(options)
      .flat()
      .map((each) => [each.attributeName(), each.long!]),
  );
  const idle = [...all].filter(([field]) => given[field] !== undefined && !own.has(field));
  if (idle.length > 0)
    throw unused(
      idle.map(([, long]) => long),
      `--method ${Object.keys(options)
        .filter((name) =>
          idle.every(([field]) => options[name as MethodName].some((each) => each.attributeName() === field)),
        )
        .join(' or ')}`,
    );
  return {
    name: method,
    ...present(Object.fromEntries([...own].map((field) => [field, given[field]]))),
  };
}
