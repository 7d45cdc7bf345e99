import { labelWidth } from '../datasets/rows.js';
import { cutLeaves, type Leaf } from '../protocol/leaves.js';
import type { Network } from '../protocol/model.js';
import type { Batch } from './curvature/batch.js';
import {
  linearize,
  linearizeAndEvaluate,
  type Linearization,
  type LossAndGradient,
} from './curvature/linearization.js';
import { columnsAtOnce } from './curvature/slabs.js';
import { bindNetwork, type BoundNetwork } from './curvature/network.js';
import type { Engine } from './engines/engine.js';
import type { ShardClient } from './shard-client.js';
import type { OpenInput, ThreadPoint } from './thread-messages.js';

/** Bytes of linearizations that a thread may keep, over all its operators. */
export class Budget {
  readonly limit: number;
  used = 0;

  constructor(limit: number) {
    this.limit = limit;
  }
}

/** One operator in one thread: the model at the current point, and the linearizations that the budget allows to keep. */
export class ThreadOperator<T> {
  readonly input: OpenInput<Network>;
  readonly leaves: readonly Leaf[];
  #engine: Engine<T>;
  #shards: ShardClient;
  #budget: Budget;
  #point: { id: number; bound: BoundNetwork<T> } | undefined;
  #kept = new Map<string, Linearization<T>>();
  /** Right-hand sides in one pass, by the number of rows. */
  #columns = new Map<number, number>();
  /** The shard that is needed after a shard. */
  #next = new Map<number, number>();

  constructor(input: OpenInput<Network>, engine: Engine<T>, shards: ShardClient, budget: Budget) {
    this.input = input;
    this.leaves = cutLeaves(input.manifest.shards, input.leafRows);
    this.#engine = engine;
    this.#shards = shards;
    this.#budget = budget;
  }

  /** Moves to the point, if it is not there yet: what was linearized elsewhere goes. */
  moveTo({ id, parameters }: ThreadPoint): BoundNetwork<T> {
    if (this.#point?.id === id) return this.#point.bound;
    this.close();
    const bound = bindNetwork(this.#engine, this.input.network, parameters);
    this.#point = { id, bound };
    return bound;
  }

  /** How many right-hand sides a pass over so many rows takes at once. */
  columnsFor(rows: number): number {
    const known = this.#columns.get(rows);
    if (known !== undefined) return known;
    const { network, curvature } = this.input;
    const columns = columnsAtOnce(network, rows, curvature, this.#engine.workBytes);
    this.#columns.set(rows, columns);
    return columns;
  }

  /** The leaves, in the order in which they will be worked on: while one is, the next shard is fetched. */
  plan(indices: readonly number[]): Leaf[] {
    const leaves = indices.map((index) => this.leaves[index]!);
    const missing = leaves.filter((leaf) => !this.#kept.has(keyOf(leaf)));
    const shards = [...new Set(missing.map(({ shard }) => shard))];
    this.#next = new Map(shards.slice(1).map((shard, before) => [shards[before]!, shard]));
    return leaves;
  }

  /** The rows of a leaf, as views of its shard. */
  async batch({ shard, from, to }: Leaf): Promise<Batch> {
    const { manifest, digest } = this.input;
    const decoded = await this.#shards.get(manifest, digest, shard);
    const next = this.#next.get(shard);
    if (next !== undefined) this.#shards.prefetch(digest, next);
    return rowsOfShard(decoded, manifest.features.width, labelWidth(manifest.labels), from, to);
  }

  /** Sums over the rows of a leaf; keeps the linearization that this makes, if the budget allows. */
  async lossAndGradient(leaf: Leaf): Promise<LossAndGradient> {
    const { loss, gradient, linearization } = await linearizeAndEvaluate(
      this.#engine,
      this.#point!.bound,
      await this.batch(leaf),
      this.input.curvature,
    );
    if (!this.#keep(leaf, linearization)) this.#engine.dispose(linearization.held);
    return { loss, gradient };
  }

  /**
   * Works with the linearization of some rows of a shard: the kept one, or one made for this use and kept if the budget
   * allows. What is kept first stays, since every product asks for all leaves in turn.
   */
  async withLinearization<R>(leaf: Leaf, work: (linearization: Linearization<T>) => Promise<R>): Promise<R> {
    const kept = this.#kept.get(keyOf(leaf));
    if (kept) return work(kept);
    const batch = await this.batch(leaf);
    const made = linearize(this.#engine, this.#point!.bound, batch, this.input.curvature);
    if (this.#keep(leaf, made)) return work(made);
    try {
      return await work(made);
    } finally {
      this.#engine.dispose(made.held);
    }
  }

  #keep(leaf: Leaf, linearization: Linearization<T>): boolean {
    const { bytes } = linearization;
    if (this.#kept.has(keyOf(leaf)) || this.#budget.used + bytes > this.#budget.limit) return false;
    this.#kept.set(keyOf(leaf), linearization);
    this.#budget.used += bytes;
    return true;
  }

  close(): void {
    for (const { held, bytes } of this.#kept.values()) {
      this.#engine.dispose(held);
      this.#budget.used -= bytes;
    }
    this.#kept.clear();
    if (this.#point) this.#engine.dispose(this.#point.bound.held);
    this.#point = undefined;
  }
}

const keyOf = ({ shard, from, to }: Leaf) => `${shard}:${from}:${to}`;

/** Rows [from, to) as a batch of views. */
export function rowsOfShard(
  { features, labels, weights }: Omit<Batch, 'rows'>,
  width: number,
  labelsPerRow: number,
  from: number,
  to: number,
): Batch {
  return {
    rows: to - from,
    features: features.subarray(from * width, to * width),
    labels: labels.subarray(from * labelsPerRow, to * labelsPerRow),
    weights: weights?.subarray(from, to),
  };
}
