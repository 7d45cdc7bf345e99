import type { MessagePort } from 'node:worker_threads';
import type { Manifest } from '../protocol/dataset.js';
import type { WireError } from '../protocol/errors.js';
import type { Leaf } from '../protocol/leaves.js';
import type { AnyNetwork } from '../protocol/model.js';
import type { TreeNode } from '../protocol/reduction.js';
import type { Curvature, HvpMode } from '../protocol/requests.js';
import type { SharedBytes } from './shard-cache.js';

/** What the main thread tells an arithmetic thread, and what comes back. Arrays over shared memory are not copied. */
export interface StartInput {
  engine: string;
  /** Bytes of linearizations that the process may keep, and the threads among which they are shared on a CPU. */
  budget: { bytes: number; threads: number };
  /** Files of the user's own loss functions. */
  plugins: readonly string[];
  /** Where the graphs of a recording engine are written. */
  dumpGraphs?: string | undefined;
  /** On which the thread asks for shards. */
  shards: MessagePort;
}

/** An engine, and why it is that one. */
export interface Started {
  engine: string;
  reason: string;
}

export interface OpenInput<N extends AnyNetwork = AnyNetwork> {
  operator: string;
  network: N;
  manifest: Manifest;
  /** Names the manifest in shard requests. */
  digest: string;
  leafRows: number;
  curvature: Curvature;
  hvp: HvpMode;
}

export interface ThreadPoint {
  id: number;
  parameters: Float32Array;
}

export interface SelfCheckInput {
  operator: string;
  point: ThreadPoint;
  leaf: Leaf;
}

export interface LinearizeInput {
  operator: string;
  point: ThreadPoint;
  leaves: number[];
}

export interface MultiplyInput extends LinearizeInput {
  vectors: Float32Array;
  count: number;
}

export interface KroneckerInput extends LinearizeInput {
  seed: number;
}

export interface MultiplyRowsInput extends MultiplyInput {
  /** Of the minibatch, and the stream that it is drawn from. */
  rows: number;
  seeds: number[];
  /** Leaves that the minibatch has rows in. */
  touched: number;
}

export interface ChainInput {
  operator: string;
  point: ThreadPoint;
  shard: number;
  state: Float32Array;
  rhs: Float32Array;
  count: number;
  batchSize: number;
  sampling: 'epoch' | 'replacement';
  /** Which of the shard's minibatches, first…end−1. */
  first: number;
  end: number;
  shrink: number;
  scale: number;
  seeds: number[];
}

/** A chain task as it comes to its thread: `after` names one that came to the same thread before. */
export interface ChainTaskInput extends Omit<ChainInput, 'state'> {
  id: number;
  state: Float32Array | { after: number };
}

export interface RowGradientsInput {
  operator: string;
  point: ThreadPoint;
  manifest: Manifest;
  digest: string;
  rows: number[];
}

/** Sums of tree nodes, one after the other in `values`; a block without nodes for tasks that sum nothing. */
export interface Sums {
  nodes: TreeNode[];
  values: Float64Array | Float32Array;
}

/** Every thread function resolves: an error crosses a thread as it crosses the wire. */
export type Outcome<T> =
  { ok: true; value: T; busySeconds: number; usedBytes: number } | { ok: false; error: WireError };

/** On the shard port: a thread asks, the main thread answers with the same number. */
export interface ShardRequest {
  request: number;
  digest: string;
  shard: number;
}
export type ShardResponse = { request: number; bytes: SharedBytes } | { request: number; error: WireError };
