import type { NatsConnection } from '@nats-io/nats-core';
import { BlockInbox } from '../protocol/block-inbox.js';
import { BlockOutbox } from '../protocol/block-outbox.js';
import type { SelfCheck } from '../protocol/jobs.js';
import type { Manifest } from '../protocol/dataset.js';
import { ShapeMismatchError } from '../protocol/errors.js';
import { parameterLayout } from '../protocol/model.js';
import { TreeSum, type LeafRange } from '../protocol/reduction.js';
import { cutLeaves, type Leaf } from '../protocol/leaves.js';
import type { Names } from '../protocol/subjects.js';
import type { BlockRef, OperatorSpec, Point, TaskOf } from '../protocol/tasks.js';
import type { SelfChecks } from './self-checks.js';
import type { Slots } from './slots.js';
import type {
  ChainInput,
  LinearizeInput,
  MultiplyInput,
  OpenInput,
  RowGradientsInput,
  Sums,
  ThreadPoint,
} from './thread-messages.js';

/** A worker answers with at most this many blocks that can still be asked for again. */
const keptBlocks = 8;
/** Received blocks that later tasks name again: the point, and the right-hand sides of the chains under way. */
const rememberedBlocks = 6;

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
  #blocks = new Map<string, Promise<Float32Array>>();
  #leaves: Leaf[];
  #parameters: number;
  #abort = new AbortController();

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
    this.outbox = new BlockOutbox(nc, names, `${worker}-${spec.operator}`, keptBlocks);
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
    await slots.runEverywhere('open', operator.#input);
    return operator;
  }

  async linearize(task: TaskOf<'linearize'>): Promise<Answer> {
    const point = await this.#point(task.point);
    return this.#overLeaves(task.leaves, 'linearize', (leaves): LinearizeInput => ({
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
    const selfCheck = await this.#check(point, this.#leaf(task.leaves[0]!.start));
    const sums = await this.#overLeaves(task.leaves, 'multiply', (leaves): MultiplyInput => ({
      operator: task.operator,
      point,
      leaves,
      vectors,
      count: task.count,
    }));
    return { ...sums, selfCheck };
  }

  async chain(task: TaskOf<'chain'>): Promise<Answer> {
    if (task.shard >= this.manifest.shards.length)
      throw new ShapeMismatchError(`dataset "${this.manifest.name}" has no shard ${task.shard}`);
    const values = task.count * this.#parameters;
    const [point, state, rhs] = await Promise.all([
      this.#point(task.point),
      this.#block(task.state, values),
      this.#block(task.rhs, values),
    ]);
    const { operator, shard, count, batchSize, shrink, scale, seeds } = task;
    const input: ChainInput = { operator, point, shard, state, rhs, count, batchSize, shrink, scale, seeds };
    const selfCheck = await this.#check(point, {
      shard,
      from: 0,
      to: this.manifest.shards[shard]!.rows,
    });
    return { ...(await this.#anywhere('chain', input)), selfCheck };
  }

  async rowGradients(task: TaskOf<'row-gradients'>, manifest: Manifest): Promise<Answer> {
    const point = await this.#point(task.point);
    const { operator, rows } = task;
    const input: RowGradientsInput = { operator, point, manifest, digest: task.dataset.sha256, rows };
    return this.#anywhere('rowGradients', input);
  }

  async close(): Promise<void> {
    this.#abort.abort();
    this.outbox.close();
    for (const inbox of this.#inboxes.values()) inbox.close();
    await this.#slots.runEverywhere('close', { operator: this.spec.operator });
  }

  /** Every slot takes a contiguous part of the leaves, the same part as long as the same leaves are asked for. */
  async #overLeaves(ranges: LeafRange[], name: string, input: (leaves: number[]) => object): Promise<Answer> {
    const leaves = ranges.flatMap(({ start, end }) =>
      Array.from({ length: end - start }, (_, i) => start + i),
    );
    this.#leaf(leaves.at(-1)!);
    const share = Math.ceil(leaves.length / this.#slots.count);
    const parts = Array.from({ length: Math.ceil(leaves.length / share) }, (_, slot) =>
      this.#slots.run<Sums>(slot, name, input(leaves.slice(slot * share, (slot + 1) * share))),
    );
    const sum = new TreeSum(this.#leaves.length);
    let busySeconds = 0;
    for (const part of await Promise.all(parts)) {
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

  #leaf(index: number): Leaf {
    const leaf = this.#leaves[index];
    if (!leaf) throw new ShapeMismatchError(`leaf ${index} is past the last, ${this.#leaves.length - 1}`);
    return leaf;
  }

  async #anywhere(name: string, input: object): Promise<Answer> {
    const { value, busySeconds } = await this.#slots.run<Sums>(this.#slots.leastLoaded(), name, input);
    return { ...value, busySeconds };
  }

  async #point({ id, parameters }: Point): Promise<ThreadPoint> {
    return { id, parameters: await this.#block(parameters, this.#parameters) };
  }

  /** The values of a block, fetched once however many tasks name it. */
  #block(ref: BlockRef, length: number): Promise<Float32Array> {
    if (ref.dtype !== 'float32' || ref.values !== length)
      throw new ShapeMismatchError(
        `a block of ${ref.values} ${ref.dtype} values came where ${length} float32 are due`,
      );
    const key = `${ref.owner}/${ref.id}`;
    const known = this.#blocks.get(key);
    if (known) {
      this.#blocks.delete(key);
      this.#blocks.set(key, known);
      return known;
    }
    const inbox = this.#inboxes.get(ref.owner);
    if (!inbox)
      throw new ShapeMismatchError(`operator ${this.spec.operator} has no block owner ${ref.owner}`);
    const values = inbox.get(ref, this.#abort.signal) as Promise<Float32Array>;
    this.#blocks.set(key, values);
    values.catch(() => this.#blocks.delete(key));
    if (this.#blocks.size > rememberedBlocks) this.#blocks.delete(this.#blocks.keys().next().value!);
    return values;
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
