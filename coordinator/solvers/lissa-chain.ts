import type { ChainRunner, ChainState, ChainStep, ChainTask } from './chains.js';
import { rowsIn, stepsOf } from './chains.js';
import { GrowthGuard } from './growth.js';
import { RunningTail } from './running-tail.js';
import { addScaled, norm, row } from './vectors.js';

/** What all chains of one attempt have in common. */
export interface Schedule {
  seed: number;
  batchSize: number;
  scale: number;
  shrink: number;
  /** Passes at most. */
  depth: number;
  /** A right-hand side is ready at this running estimate of its residual; undefined: when the passes are done. */
  tolerance: number | undefined;
}

/**
 * Where an attempt ends early because a chain diverged: the others go on as far as that one came and no further. So
 * which chains are found diverging does not depend on how fast each of them ran.
 */
export interface Limit {
  visits: number;
}

/** Minibatches of the first task of a chain; each further one of the same shard has twice as many. */
const firstMinibatches = 8;

/** One chain: a sample of the recursion for one block of right-hand sides. */
export class LissaChain {
  readonly sample: number;
  readonly block: number;
  readonly columns: ChainTask['columns'];
  readonly size: number;
  state: ChainState;
  steps = 0;
  /** Tasks done, the diverging one included. */
  visits = 0;
  diverged = false;
  /** Relative change of each column in each pass done. */
  readonly changes: number[][] = [];
  /** Running estimate of each column's residual, after each pass done. */
  readonly estimates: number[][] = [];
  /** Columns that are ready, as they were then. */
  #stopped = false;
  #ready: ({ answer: Float64Array; steps: number } | undefined)[];
  /** Steps before which a column is not looked at again. */
  #notBefore: number[];
  #tasks: Generator<Visit, undefined> | undefined;
  #next: Visit | undefined;
  #isMidPass = false;
  /** The state at the beginning of the pass. */
  #before: ChainState;
  #tail: RunningTail;
  #guards: GrowthGuard[];
  #norms: number[];

  constructor(
    sample: number,
    block: number,
    columns: ChainTask['columns'],
    rightHandSides: Float64Array,
    size: number,
    average: boolean,
  ) {
    this.sample = sample;
    this.block = block;
    this.columns = columns;
    this.size = size;
    this.state = rightHandSides.slice(columns.start * size, columns.end * size);
    this.#norms = this.#columnsOf(this.state).map(norm);
    this.#guards = this.#norms.map((start) => new GrowthGuard(start));
    this.#ready = this.#norms.map(() => undefined);
    this.#notBefore = this.#norms.map(() => 0);
    this.#before = this.state;
    this.#tail = new RunningTail(this.state, average);
  }

  /**
   * Runs to the end, unless it diverges or the limit stops it; called again, it goes on. `onTask` is told the rows of each
   * task.
   */
  async run(
    runner: ChainRunner,
    schedule: Schedule,
    limit: Limit,
    onTask: (rows: number) => void,
    onPass: () => void,
  ): Promise<void> {
    const { sample, block, columns } = this;
    const { seed, batchSize, scale, shrink } = schedule;
    this.#tasks ??= tasksOf(runner, schedule, sample);
    this.#next ??= this.#tasks.next().value;
    const stepOf = ({ pass, shard, minibatches }: Visit): ChainStep => ({
      ...{ sample, block, columns, pass, shard, minibatches, seed, batchSize, scale, shrink },
    });
    while (!this.#stopped && this.visits < limit.visits) {
      const visit = this.#next;
      if (!visit) return;
      this.#next = this.#tasks.next().value;
      const next = this.visits + 1 < limit.visits ? this.#next : undefined;
      const { shard, minibatches, endsPass } = visit;
      const task = { ...stepOf(visit), state: this.state };
      const state = await runner.run(task, next && stepOf(next));
      const shardRows = runner.shards[shard]!.rows;
      const rows = rowsIn(minibatches, shardRows, batchSize);
      onTask(rows);
      this.visits += 1;
      this.#accept(state, stepsOf(rows, shardRows, batchSize));
      if (this.diverged) {
        limit.visits = Math.min(limit.visits, this.visits);
        return;
      }
      const ready = this.#update(schedule.tolerance);
      this.#isMidPass = !endsPass;
      if (endsPass) this.#endPass();
      if (endsPass || ready) onPass();
      if (ready) return;
    }
  }

  /** Passes over the data, one that was begun counted as one where the chain ended in it. */
  get passes(): number {
    const ended = this.#isMidPass && this.#ready.every((ready) => ready !== undefined);
    return this.changes.length + (ended ? 1 : 0);
  }

  /** Running estimate of each column's residual: that of the mean over the tail. */
  get estimate(): number[] {
    const { change, steps } = this.#tail.change();
    return this.#columnsOf(change).map((column, k) => {
      const length = norm(column);
      return length === 0 ? 0 : length / (steps * this.#norms[k]!);
    });
  }

  /** Column k was not ready in truth: it may be so when the run has become twice as long. */
  unready(k: number): void {
    const ready = this.#ready[k];
    if (!ready) return;
    this.#notBefore[k] = 2 * ready.steps;
    this.#ready[k] = undefined;
  }

  /** Ends the chain before its next task. */
  stop(): void {
    this.#stopped = true;
  }

  /** S of each column, K_b × p: where it was ready, else the tail's mean or the last state. */
  answer(): Float64Array {
    const answer = Float64Array.from(this.diverged ? this.state : this.#current());
    this.#ready.forEach((ready, k) => ready && answer.set(ready.answer, k * this.size));
    return answer;
  }

  /** True where column k was found ready. */
  isReady(k: number): boolean {
    return this.#ready[k] !== undefined;
  }

  #accept(state: ChainState, steps: number): void {
    this.steps += steps;
    if (!this.#columnsOf(state).every((column, k) => this.#guards[k]!.accept(this.steps, norm(column)))) {
      this.diverged = true;
      return;
    }
    this.state = state;
    this.#tail.add(state, steps);
  }

  /** Looks which columns are ready; true where all are. */
  #update(tolerance: number | undefined): boolean {
    if (tolerance !== undefined) {
      const estimates = this.estimate;
      const fresh = [...estimates.keys()].filter(
        (k) => !this.isReady(k) && this.steps >= this.#notBefore[k]! && estimates[k]! <= tolerance,
      );
      const current = fresh.length > 0 ? this.#current() : undefined;
      for (const k of fresh)
        this.#ready[k] = { answer: Float64Array.from(row(current!, k, this.size)), steps: this.steps };
    }
    this.#tail.turn();
    return this.#ready.every((ready) => ready !== undefined);
  }

  #current(): ChainState {
    return this.#tail.averages ? this.#tail.mean() : this.state;
  }

  #endPass(): void {
    const earlier = this.#columnsOf(this.#before);
    this.changes.push(this.#columnsOf(this.state).map((column, k) => relativeChange(earlier[k]!, column)));
    this.estimates.push(this.estimate);
    this.#before = this.state;
  }

  #columnsOf<State extends ChainState>(state: State): State[] {
    return Array.from({ length: state.length / this.size }, (_, k) => row(state, k, this.size));
  }
}

interface Visit {
  pass: number;
  shard: number;
  minibatches: ChainTask['minibatches'];
  endsPass: boolean;
}

/**
 * A chain's tasks: shard by shard, each as a whole but for the first one, whose tasks grow, so that divergence shows early.
 */
function* tasksOf(
  runner: ChainRunner,
  { seed, depth, batchSize }: Schedule,
  sample: number,
): Generator<Visit, undefined> {
  for (let pass = 0; pass < depth; pass += 1)
    for (const [place, shard] of runner.shardOrder(seed, sample, pass).entries()) {
      const { rows } = runner.shards[shard]!;
      const count = Math.ceil(rows / Math.min(batchSize, rows));
      const growing = pass === 0 && place === 0 && count > 2 * firstMinibatches;
      for (let start = 0, length = growing ? firstMinibatches : count; start < count; length *= 2) {
        const end = Math.min(count, start + length);
        const endsPass = end === count && place === runner.shards.length - 1;
        yield { pass, shard, minibatches: { start, end }, endsPass };
        start = end;
      }
    }
}

function relativeChange(before: ChainState, after: ChainState): number {
  const difference = Float64Array.from(after);
  addScaled(difference, -1, before);
  const change = norm(difference);
  return change === 0 ? 0 : change / norm(after);
}
