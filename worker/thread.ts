import { Piscina } from 'piscina';
import { BadRequestError, toWire, UnknownOperatorError, WorkerLostError } from '../protocol/errors.js';
import type { SelfCheck } from '../protocol/jobs.js';
import { isPlugin } from '../protocol/model.js';
import type { Engine } from './engines/engine.js';
import { isOnGpu } from './engines/names.js';
import { selfCheck } from './curvature/self-check.js';
import { ChainEnds } from './chain-ends.js';
import { openEagerEngine, openEngine, type EngineTensor } from './engines/select.js';
import { evaluate } from './curvature/linearization.js';
import { loadPlugins } from './plugins/plugin-file.js';
import { PluginOperator } from './plugins/plugin-operator.js';
import type { Objectives } from './plugins/objective.js';
import { ShardClient } from './shard-client.js';
import { runChain } from './tasks/chain.js';
import { kroneckerLeaves } from './tasks/kronecker.js';
import { linearizeLeaves } from './tasks/linearize.js';
import { multiplyLeaves } from './tasks/multiply.js';
import { multiplyRows as multiplyRowsOf } from './tasks/multiply-rows.js';
import { rowGradients as gradientsOfRows } from './tasks/row-gradients.js';
import type {
  ChainTaskInput,
  KroneckerInput,
  LinearizeInput,
  MultiplyInput,
  MultiplyRowsInput,
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
  reason: string;
  /** As asked for. */
  choice: string;
  shards: ShardClient;
  budget: Budget;
  objectives: Objectives;
}

let thread: Thread | undefined;
let last: Promise<unknown> = Promise.resolve();
const chainEnds = new ChainEnds();
const operators = new Map<string, ThreadOperator<EngineTensor> | PluginOperator>();

export function start({
  engine: choice,
  plugins,
  budget,
  dumpGraphs,
  shards,
}: StartInput): Promise<Outcome<Started>> {
  return outcome(async () => {
    const { engine, reason } = await openEngine(choice, { dumpGraphs });
    const objectives = await loadPlugins(plugins);
    const share = isOnGpu(engine.name) ? budget.bytes : budget.bytes / budget.threads;
    const kept = new Budget(Math.min(share, engine.keepLimit));
    thread = { engine, reason, choice, shards: new ShardClient(shards), budget: kept, objectives };
    return { engine: engine.name, reason };
  });
}

/** Says which engine does the operator's arithmetic: a plugin's is an eager one. */
export function open(input: OpenInput): Promise<Outcome<Started>> {
  return outcome(async () => {
    const { engine, reason, choice, shards, budget, objectives } = started();
    const { network } = input;
    operators.get(input.operator)?.close();
    if (!isPlugin(network)) {
      operators.set(input.operator, new ThreadOperator({ ...input, network }, engine, shards, budget));
      return { engine: engine.name, reason };
    }
    const { engine: eager, reason: why } = await openEagerEngine(choice);
    operators.set(
      input.operator,
      new PluginOperator({ ...input, network }, eager, objectives, shards, budget),
    );
    return { engine: eager.name, reason: why };
  });
}

export function close({ operator }: { operator: string }): Promise<Outcome<void>> {
  return outcome(() => {
    operators.get(operator)?.close();
    operators.delete(operator);
    chainEnds.forget(operator);
  });
}

export function linearize(input: LinearizeInput): Promise<Outcome<Sums>> {
  return outcome(() => {
    const operator = find(input.operator);
    return operator instanceof PluginOperator ? operator.linearize(input) : linearizeLeaves(operator, input);
  });
}

export function check({ operator, point, leaf }: SelfCheckInput): Promise<Outcome<SelfCheck>> {
  return outcome(async () => {
    const found = find(operator);
    if (found instanceof PluginOperator) return found.check(point, leaf);
    const { network, curvature } = found.input;
    return selfCheck(started().engine, network, point.parameters, await found.batch(leaf), curvature);
  });
}

export function multiply(input: MultiplyInput): Promise<Outcome<Sums>> {
  return outcome(() => {
    const operator = find(input.operator);
    return operator instanceof PluginOperator
      ? operator.multiply(input)
      : multiplyLeaves(started().engine, operator, input);
  });
}

export function kronecker(input: KroneckerInput): Promise<Outcome<Sums>> {
  return outcome(() => {
    const operator = find(input.operator);
    if (operator instanceof PluginOperator)
      throw new BadRequestError('a plugin has no layers, and no Kronecker factors');
    return kroneckerLeaves(started().engine, operator, input);
  });
}

export function multiplyRows(input: MultiplyRowsInput): Promise<Outcome<Sums>> {
  return outcome(() => {
    const operator = find(input.operator);
    return operator instanceof PluginOperator
      ? operator.multiplyRows(input)
      : multiplyRowsOf(started().engine, operator, input);
  });
}

export function chain({ id, state: from, ...rest }: ChainTaskInput): Promise<Outcome<Sums>> {
  return outcome(async () => {
    const operator = find(rest.operator);
    const state = 'after' in from ? chainEnds.after(rest.operator, from.after, rest.rhs.length) : from;
    const input = { ...rest, state };
    const sums = await (operator instanceof PluginOperator
      ? operator.chain(input)
      : runChain(started().engine, operator, input));
    // The answer itself is given away.
    chainEnds.add(rest.operator, id, Float32Array.from(sums.values));
    return sums;
  });
}

export function rowGradients(input: RowGradientsInput): Promise<Outcome<Sums>> {
  return outcome(() => {
    const { engine, shards } = started();
    const operator = find(input.operator);
    if (operator instanceof PluginOperator) return operator.rowGradients(input);
    const bound = operator.moveTo(input.point);
    return gradientsOfRows(shards, input, async (row) => (await evaluate(engine, bound, row)).gradient);
  });
}

function started(): Thread {
  if (!thread) throw new WorkerLostError('this thread took the place of one that died');
  return thread;
}

function find(id: string): ThreadOperator<EngineTensor> | PluginOperator {
  const operator = operators.get(id);
  if (!operator) throw new UnknownOperatorError(`this thread does not hold operator ${id}`);
  return operator;
}

/** Tasks come while one runs; they run one after another. */
function outcome<T>(work: () => T | Promise<T>): Promise<Outcome<T>> {
  const done = last.then(() => measured(work));
  last = done;
  return done;
}

async function measured<T>(work: () => T | Promise<T>): Promise<Outcome<T>> {
  const began = performance.now();
  try {
    const value = await work();
    return handOver({
      ok: true,
      value,
      busySeconds: (performance.now() - began) / 1000,
      usedBytes: thread?.budget.used ?? 0,
    });
  } catch (error) {
    return { ok: false, error: toWire(error) };
  }
}

/** Gives sums away instead of copying them: no task keeps what it answered. */
function handOver<T>(done: Outcome<T>): Outcome<T> {
  const values = done.ok ? (done.value as Partial<Sums> | undefined)?.values : undefined;
  if (!(values?.buffer instanceof ArrayBuffer) || values.byteLength < values.buffer.byteLength) return done;
  const moved = { [Piscina.transferableSymbol]: [values.buffer], [Piscina.valueSymbol]: done };
  return Piscina.move(moved as never) as unknown as Outcome<T>;
}
