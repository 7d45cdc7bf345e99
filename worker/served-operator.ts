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
  ChainTaskInput,
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
/** Chain tasks whose slots are remembered, a thread: more than may go on from one. */
const chainsOfSlot = 8;

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
  /** Where each chain task went, by its id, once it did: of the last ones. */
  #chainSlots = new Map<number, Promise<number>>();
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
    const begun = this.#beginChain(task);
    const slot = begun.then((chain) => chain.slot);
    slot.catch(() => {});
    this.#chainSlots.set(task.id, slot);
    if (this.#chainSlots.size > chainsOfSlot * this.#slots.count) {
      const [oldest] = this.#chainSlots.keys();
      this.#chainSlots.delete(oldest!);
    }
    const { answer, selfCheck } = await begun;
    return { ...(await answer), selfCheck };
  }

  /** Gives a chain task to a thread: the one that has the task which it goes on from, after that. */
  async #beginChain(task: TaskOf<'chain'>) {
    const { id, operator, shard, count, batchSize, sampling, first, end, shrink, scale, seeds } = task;
    const rows = this.manifest.shards[shard]?.rows;
    if (rows === undefined)
      throw new ShapeMismatchError(`dataset "${this.manifest.name}" has no shard ${shard}`);
    const before = 'after' in task.state ? this.#chainSlots.get(task.state.after) : undefined;
    if ('after' in task.state && !before)
      throw new TimeoutError(`the chain task that ${id} goes on from is not known here`);
    const values = count * this.#parameters;
    const at = this.#point(task.point);
    const [point, rhs, selfCheck, state, slotBefore] = await Promise.all([
      at,
      this.#block(task.rhs, values),
      at.then((point) => this.#check(point, { shard, from: 0, to: rows })),
      'after' in task.state ? task.state : this.#state(task.state, values),
      before,
    ]);
    const input: ChainTaskInput = {
      ...{ id, operator, point, shard, state, rhs, count, shrink, scale },
      ...{ batchSize, sampling, first, end, seeds },
    };
    const slot = slotBefore ?? this.#slots.leastLoaded();
    return { slot, answer: this.#on(slot, 'chain', input), selfCheck };
  }

  async rowGradients(task: TaskOf<'row-gradients'>, manifest: Manifest): Promise<Answer> {
    const point = await this.#point(task.point);
    const { operator, rows } = task;
    const input: RowGradientsInput = { operator, point, manifest, digest: task.dataset.sha256, rows };
    return this.#on(this.#slots.leastLoaded(), 'rowGradients', input);
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

  async #on(slot: number, name: string, input: object): Promise<Answer> {
    const { value, busySeconds } = await this.#slots.run<Sums>(slot, name, input);
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
