import type { NatsConnection } from '@nats-io/nats-core';
import { BlockInbox } from '../protocol/block-inbox.js';
import { BlockOutbox } from '../protocol/block-outbox.js';
import type { SelfCheck } from '../protocol/jobs.js';
import type { Manifest } from '../protocol/dataset.js';
import { ShapeMismatchError, TimeoutError } from '../protocol/errors.js';
import { parameterLayout } from '../protocol/model.js';
import { TreeSum, type LeafRange } from '../protocol/reduction.js';
import { cutLeaves, type Leaf } from '../protocol/leaves.js';
import type { Names } from '../protocol/subjects.js';
import type { BlockRef, OperatorSpec, Point, TaskOf } from '../protocol/tasks.js';
import type { SelfChecks } from './self-checks.js';
import type { Slots } from './slots.js';
import type {
  ChainInput,
  KroneckerInput,
  LinearizeInput,
  MultiplyInput,
  MultiplyRowsInput,
  OpenInput,
  RowGradientsInput,
  Started,
  Sums,
  ThreadPoint,
} from './thread-messages.js';

/** Of received blocks that later tasks name again: the point, and the right-hand sides of products and chains. */
const rememberedBytes = 256 * 2 ** 20;
/** Blocks that one task needs, remembered however large they are. */
const blocksOfOneTask = 2;
/** Chain tasks a thread whose states are kept when they ended: the one that another goes on from, and one that ran beside it. */
const endedChains = 2;

export interface Answer extends Sums {
  busySeconds: number;
  /** Of the products that the answer is made of, where they are exact. */
  selfCheck?: SelfCheck | undefined;
}

/** One operator on this worker, main-thread side: gets the blocks that a task names and shares the task among threads. */
export class ServedOperator {
  readonly spec: OperatorSpec;
  readonly manifest: Manifest;
  readonly outbox: BlockOutbox;
  #slots: Slots;
  #selfChecks: SelfChecks;
  #input: OpenInput;
  #inboxes: Map<string, BlockInbox>;
  #blocks = new Map<string, { values: Promise<Float32Array>; bytes: number }>();
  /** What chain tasks end with, by their ids: of those that run, and of the last that ended. */
  #chainStates = new Map<number, Promise<Float32Array>>();
  #chainsEnded: number[] = [];
  #leaves: Leaf[];
  #parameters: number;
  #engine: Started | undefined;

  private constructor(
    nc: NatsConnection,
    names: Names,
    worker: string,
    spec: OperatorSpec,
    manifest: Manifest,
    slots: Slots,
    selfChecks: SelfChecks,
  ) {
    this.spec = spec;
    this.manifest = manifest;
    this.#slots = slots;
    this.#selfChecks = selfChecks;
    const { operator, network, dataset, leafRows, curvature, hvp } = spec;
    this.#input = { operator, network, manifest, digest: dataset.sha256, leafRows, curvature, hvp };
    this.#leaves = cutLeaves(manifest.shards, leafRows);
    this.#parameters = parameterLayout(spec.network).count;
    this.outbox = new BlockOutbox(nc, names, `${worker}-${spec.operator}`, { untilReceived: true });
    const owners = [spec.operator, `${spec.operator}-${worker}`];
    this.#inboxes = new Map(owners.map((owner) => [owner, new BlockInbox(nc, names, owner, worker)]));
  }

  static async open(
    nc: NatsConnection,
    names: Names,
    worker: string,
    spec: OperatorSpec,
    manifest: Manifest,
    slots: Slots,
    selfChecks: SelfChecks,
  ): Promise<ServedOperator> {
    const operator = new ServedOperator(nc, names, worker, spec, manifest, slots, selfChecks);
    try {
      [operator.#engine] = await slots.runEverywhere<Started>('open', operator.#input);
    } catch (error) {
      await operator.close().catch(() => {});
      throw error;
    }
    return operator;
  }

  /** What does its arithmetic: a plugin's is an eager engine. */
  get engine(): Started | undefined {
    return this.#engine;
  }

  async linearize(task: TaskOf<'linearize'>): Promise<Answer> {
    const point = await this.#point(task.point);
    return this.#overLeaves(this.#numbers(task.leaves), 'linearize', (leaves): LinearizeInput => ({
      operator: task.operator,
      point,
      leaves,
    }));
  }

  async multiply(task: TaskOf<'multiply'>): Promise<Answer> {
    const [point, vectors] = await Promise.all([
      this.#point(task.point),
      this.#block(task.vectors, task.count * this.#parameters),
    ]);
    const all = this.#numbers(task.leaves);
    const selfCheck = await this.#check(point, this.#leaves[all[0]!]!);
    const sums = await this.#overLeaves(all, 'multiply', (leaves): MultiplyInput => ({
      operator: task.operator,
      point,
      leaves,
      vectors,
      count: task.count,
    }));
    return { ...sums, selfCheck };
  }

  async kronecker(task: TaskOf<'kronecker'>): Promise<Answer> {
    const point = await this.#point(task.point);
    return this.#overLeaves(this.#numbers(task.leaves), 'kronecker', (leaves): KroneckerInput => ({
      operator: task.operator,
      point,
      leaves,
      seed: task.seed,
    }));
  }

  async multiplyRows(task: TaskOf<'multiply-rows'>): Promise<Answer> {
    const [point, vectors] = await Promise.all([
      this.#point(task.point),
      this.#block(task.vectors, task.count * this.#parameters),
    ]);
    const all = this.#numbers(task.leaves);
    const selfCheck = await this.#check(point, this.#leaves[all[0]!]!);
    const { operator, count, rows, seeds, touched } = task;
    const input = (leaves: number[]): MultiplyRowsInput => ({
      ...{ operator, point, leaves, vectors, count, rows, seeds, touched },
    });
    return { ...(await this.#overLeaves(all, 'multiplyRows', input, touched)), selfCheck };
  }

  async chain(task: TaskOf<'chain'>): Promise<Answer> {
    const answer = this.#runChain(task);
    const state = answer.then(({ values }) => values as Float32Array);
    state.catch(() => {});
    this.#chainStates.set(task.id, state);
    try {
      return await answer;
    } finally {
      this.#chainsEnded.push(task.id);
      while (this.#chainsEnded.length > endedChains * this.#slots.count)
        this.#chainStates.delete(this.#chainsEnded.shift()!);
    }
  }

  async #runChain(task: TaskOf<'chain'>): Promise<Answer> {
    const rows = this.manifest.shards[task.shard]?.rows;
    if (rows === undefined)
      throw new ShapeMismatchError(`dataset "${this.manifest.name}" has no shard ${task.shard}`);
    const values = task.count * this.#parameters;
    const known = this.#point(task.point);
    // The state comes last, and nothing is left to do then: a thread that another task of this chain had goes on at once.
    const [point, rhs, selfCheck, state] = await Promise.all([
      known,
      this.#block(task.rhs, values),
      known.then((at) => this.#check(at, { shard: task.shard, from: 0, to: rows })),
      'after' in task.state ? this.#stateAfter(task.state.after, values) : this.#state(task.state, values),
    ]);
    const { operator, shard, count, batchSize, sampling, first, end, shrink, scale, seeds } = task;
    const input: ChainInput = {
      ...{ operator, point, shard, state, rhs, count, shrink, scale },
      ...{ batchSize, sampling, first, end, seeds },
    };
    return { ...(await this.#anywhere('chain', input)), selfCheck };
  }

  async rowGradients(task: TaskOf<'row-gradients'>, manifest: Manifest): Promise<Answer> {
    const point = await this.#point(task.point);
    const { operator, rows } = task;
    const input: RowGradientsInput = { operator, point, manifest, digest: task.dataset.sha256, rows };
    return this.#anywhere('rowGradients', input);
  }

  async close(): Promise<void> {
    this.outbox.close();
    for (const inbox of this.#inboxes.values()) inbox.close();
    await this.#slots.runEverywhere('close', { operator: this.spec.operator });
  }

  #numbers(ranges: LeafRange[]): number[] {
    for (const [i, { start, end }] of ranges.entries())
      if (start < (ranges[i - 1]?.end ?? 0) || end > this.#leaves.length)
        throw new ShapeMismatchError(
          `leaves ${start}…${end - 1} are out of order, or past ${this.#leaves.length - 1}`,
        );
    return ranges.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i));
  }

  /**
   * Every slot takes a contiguous part of the leaves, the same part as long as the same leaves are asked for. `treeLeaves`:
   * those of the tree that the sums are nodes of.
   */
  async #overLeaves(
    leaves: number[],
    name: string,
    input: (leaves: number[]) => object,
    treeLeaves = this.#leaves.length,
  ): Promise<Answer> {
    const share = Math.ceil(leaves.length / this.#slots.count);
    const parts = Array.from({ length: Math.ceil(leaves.length / share) }, (_, slot) =>
      this.#slots.run<Sums>(slot, name, input(leaves.slice(slot * share, (slot + 1) * share))),
    );
    const answers = await Promise.all(parts);
    if (answers.length === 1) return { ...answers[0]!.value, busySeconds: answers[0]!.busySeconds };
    const sum = new TreeSum(treeLeaves);
    let busySeconds = 0;
    for (const part of answers) {
      busySeconds += part.busySeconds;
      const { nodes, values } = part.value;
      const width = values.length / nodes.length;
      for (const [i, node] of nodes.entries()) sum.add(node, values.subarray(i * width, (i + 1) * width));
    }
    const held = sum.nodes();
    return { nodes: held.map(({ node }) => node), values: join(held.map(({ sums }) => sums)), busySeconds };
  }

  /** The figures of this operator's self-check, which runs first if it has not yet; differences need none. */
  async #check(point: ThreadPoint, leaf: Leaf): Promise<SelfCheck | undefined> {
    if (this.spec.hvp.mode !== 'exact') return undefined;
    return this.#selfChecks.check(this.#input, point, leaf);
  }

  async #anywhere(name: string, input: object): Promise<Answer> {
    const { value, busySeconds } = await this.#slots.run<Sums>(this.#slots.leastLoaded(), name, input);
    return { ...value, busySeconds };
  }

  async #point({ id, parameters }: Point): Promise<ThreadPoint> {
    return { id, parameters: await this.#block(parameters, this.#parameters) };
  }

  /** The values of a block, fetched once however many tasks name it. */
  async #block(ref: BlockRef, length: number): Promise<Float32Array> {
    const inbox = this.#inbox(ref, length);
    const key = `${ref.owner}/${ref.id}`;
    const known = this.#blocks.get(key);
    const block = known ?? { values: inbox.get(ref) as Promise<Float32Array>, bytes: 4 * length };
    this.#blocks.delete(key);
    this.#blocks.set(key, block);
    if (known) return known.values;
    block.values.catch(() => this.#blocks.delete(key));
    let bytes = [...this.#blocks.values()].reduce((sum, other) => sum + other.bytes, 0);
    for (const [oldest, other] of this.#blocks) {
      if (bytes <= rememberedBytes || this.#blocks.size <= blocksOfOneTask) break;
      this.#blocks.delete(oldest);
      bytes -= other.bytes;
    }
    return block.values;
  }

  /** @throws TimeoutError where that task is unknown here, or ended too long ago: the state has to be sent */
  async #stateAfter(id: number, length: number): Promise<Float32Array> {
    const state = await this.#chainStates.get(id);
    this.#chainStates.delete(id);
    if (!state) throw new TimeoutError(`the state of chain task ${id} is not here any more`);
    if (state.length !== length)
      throw new ShapeMismatchError(`chain task ${id} ended with ${state.length} values, not ${length}`);
    return state;
  }

  /** The values of a block that no other task names. */
  async #state(ref: BlockRef, length: number): Promise<Float32Array> {
    return this.#inbox(ref, length).get(ref) as Promise<Float32Array>;
  }

  /** Where a block of `length` float32 values comes in. */
  #inbox(ref: BlockRef, length: number): BlockInbox {
    if (ref.dtype !== 'float32' || ref.values !== length)
      throw new ShapeMismatchError(
        `a block of ${ref.values} ${ref.dtype} values came where ${length} float32 are due`,
      );
    const inbox = this.#inboxes.get(ref.owner);
    if (!inbox)
      throw new ShapeMismatchError(`operator ${this.spec.operator} has no block owner ${ref.owner}`);
    return inbox;
  }
}

function join(parts: Float64Array[]): Float64Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Float64Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}
