/** The state S of a chain, K_b × p: float32 where the device's own numbers travel on unchanged. */
export type ChainState = Float64Array | Float32Array;

/** How one chain's recursion goes on over minibatches of one shard. */
export interface ChainTask {
  /** The chain: which sample, which block of right-hand sides. */
  sample: number;
  block: number;
  /** The block's right-hand sides V: rows start…end−1 of those of the solve. */
  columns: { start: number; end: number };
  /** Pass over the dataset, from 0. */
  pass: number;
  shard: number;
  /** Which of the shard's minibatches, start…end−1. */
  minibatches: { start: number; end: number };
  /**
   * The order of the shard's rows is drawn from the stream (seed, sample, pass, shard). The block is no part of it, so
   * the size of the blocks does not change the answer.
   */
  seed: number;
  /** Rows of a minibatch; the shard's rows where it has fewer. */
  batchSize: number;
  scale: number;
  shrink: number;
  state: ChainState;
}

/** A task whose state is not there yet. */
export type ChainStep = Omit<ChainTask, 'state'>;

/** Runs chain tasks where the data are, as many at a time as it sees fit. */
export interface ChainRunner {
  shards: readonly { rows: number }[];
  /** The order in which a pass visits the shards, drawn from the stream (seed, sample, pass). */
  shardOrder(seed: number, sample: number, pass: number): Int32Array;
  /**
   * The new state, in a new array, after S ← (1−w)·S + w·(V + shrink·S − (H_B S)/scale) for every minibatch B of the
   * task, where w = rows of B / min(batchSize, rows of the shard), so that a short last minibatch counts for its rows
   * and no more, and H_B is the mean over the rows of B plus regularisation. Numbers that are not finite are returned
   * as they are.
   * @param next what the chain goes on with from the array that this one gives, unless it ends: may be begun at once
   */
  run(task: ChainTask, next?: ChainStep): Promise<ChainState>;
}

/** Rows of these minibatches of a shard, of which the last one may be short. */
export function rowsIn({ start, end }: ChainTask['minibatches'], rows: number, batchSize: number): number {
  return Math.min(rows, end * Math.min(batchSize, rows)) - start * Math.min(batchSize, rows);
}

/** Steps of the recursion that so many rows of a shard are, a short minibatch counted by its rows. */
export function stepsOf(rows: number, shardRows: number, batchSize: number): number {
  return rows / Math.min(batchSize, shardRows);
}
