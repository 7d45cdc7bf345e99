import { toWire, UnknownOperatorError, WorkerLostError } from '../protocol/errors.js';
import type { SelfCheck } from '../protocol/jobs.js';
import type { Engine } from './engines/engine.js';
import { selfCheck } from './curvature/self-check.js';
import { openEngine, type EngineTensor } from './engines/select.js';
import { ShardClient } from './shard-client.js';
import { runChain } from './tasks/chain.js';
import { linearizeLeaves } from './tasks/linearize.js';
import { multiplyLeaves } from './tasks/multiply.js';
import { rowGradients as gradientsOfRows } from './tasks/row-gradients.js';
import type {
  ChainInput,
  LinearizeInput,
  MultiplyInput,
  OpenInput,
  Outcome,
  RowGradientsInput,
  SelfCheckInput,
  Started,
  StartInput,
  Sums,
} from './thread-messages.js';
import { Budget, ThreadOperator } from './thread-operator.js';

/*
 * The entry of an arithmetic thread. Each exported function is a task that the main thread runs by name; each resolves
 * with an outcome, since an error's class would be lost on the way.
 */

interface Thread {
  engine: Engine<EngineTensor>;
  shards: ShardClient;
  budget: Budget;
}

let thread: Thread | undefined;
const operators = new Map<string, ThreadOperator<EngineTensor>>();

export function start({ engine: choice, budget, shards }: StartInput): Promise<Outcome<Started>> {
  return outcome(async () => {
    const { engine, reason } = await openEngine(choice);
    thread = {
      engine,
      shards: new ShardClient(shards),
      budget: new Budget(Math.min(budget, engine.keepLimit)),
    };
    return { engine: engine.name, reason };
  });
}

export function open(input: OpenInput): Promise<Outcome<void>> {
  return outcome(() => {
    const { engine, shards, budget } = started();
    operators.get(input.operator)?.close();
    operators.set(input.operator, new ThreadOperator(input, engine, shards, budget));
  });
}

export function close({ operator }: { operator: string }): Promise<Outcome<void>> {
  return outcome(() => {
    operators.get(operator)?.close();
    operators.delete(operator);
  });
}

export function linearize(input: LinearizeInput): Promise<Outcome<Sums>> {
  return outcome(() => linearizeLeaves(find(input.operator), input));
}

export function check({ operator, point, leaf }: SelfCheckInput): Promise<Outcome<SelfCheck>> {
  return outcome(async () => {
    const found = find(operator);
    const { network, curvature } = found.input;
    return selfCheck(started().engine, network, point.parameters, await found.batch(leaf), curvature);
  });
}

export function multiply(input: MultiplyInput): Promise<Outcome<Sums>> {
  return outcome(() => multiplyLeaves(started().engine, find(input.operator), input));
}

export function chain(input: ChainInput): Promise<Outcome<Sums>> {
  return outcome(() => runChain(started().engine, find(input.operator), input));
}

export function rowGradients(input: RowGradientsInput): Promise<Outcome<Sums>> {
  return outcome(() => {
    const { engine, shards } = started();
    return gradientsOfRows(engine, shards, find(input.operator), input);
  });
}

function started(): Thread {
  if (!thread) throw new WorkerLostError('this thread took the place of one that died');
  return thread;
}

function find(id: string): ThreadOperator<EngineTensor> {
  const operator = operators.get(id);
  if (!operator) throw new UnknownOperatorError(`this thread does not hold operator ${id}`);
  return operator;
}

async function outcome<T>(work: () => T | Promise<T>): Promise<Outcome<T>> {
  const began = performance.now();
  try {
    const value = await work();
    return {
      ok: true,
      value,
      busySeconds: (performance.now() - began) / 1000,
      usedBytes: thread?.budget.used ?? 0,
    };
  } catch (error) {
    return { ok: false, error: toWire(error) };
  }
}
