import { z } from 'zod';
import { errorSchema, selfCheckSchema } from './jobs.js';
import { networkSchema } from './model.js';
import { limits, nameSchema, sha256Schema } from './names.js';
import { pluginNetworkSchema } from './plugin-model.js';
import { curvatures, hvpSchema } from './requests.js';

/** A block of vectors that was sent as frames on `blocks.<owner>.sent`; missing frames are asked for from the owner. */
export const blockRefSchema = z.strictObject({
  owner: z.string().regex(/^[A-Za-z0-9_-]{1,193}$/),
  /** Unique among the owner's blocks. */
  id: z.int().min(0),
  dtype: z.enum(['float32', 'float64']),
  values: z.int().min(0).max(limits.blockValues),
  frames: z.int().min(1),
});

const leafRange = z
  .strictObject({ start: z.int().min(0), end: z.int().min(1) })
  .refine(({ start, end }) => start < end, 'an empty leaf range');

/** Unique to one run of a job: a worker may still hold what an earlier run of it sent. */
const operator = z.string().regex(/^[A-Za-z0-9_-]{1,128}$/);

/** The point θ that the Hessian is taken at; `id` counts the points of one operator. */
export const pointSchema = z.strictObject({ id: z.int().min(0), parameters: blockRefSchema });

/** A dataset by name and by the digest of its manifest, so that a replaced one is noticed and never mixed in. */
export const datasetRefSchema = z.strictObject({ name: nameSchema, sha256: sha256Schema });

/** What makes an operator. */
export const operatorSchema = z.strictObject({
  operator,
  network: z.union([networkSchema, pluginNetworkSchema]),
  dataset: datasetRefSchema,
  leafRows: z.int().min(1).max(limits.leafRows),
  curvature: z.enum(curvatures),
  hvp: hvpSchema,
});

/** Tasks of one worker, request–reply on `worker.<id>.task`. All are idempotent. */
export const taskSchema = z.discriminatedUnion('task', [
  /** Learn an operator. Every later task names it. */
  z.strictObject({ task: z.literal('open'), ...operatorSchema.shape }),
  /** Loss and gradient sums over the leaves at a point, one vector (loss, ∇₁…∇_p) a tree node. Keeps the linearization. */
  z.strictObject({
    task: z.literal('linearize'),
    operator,
    point: pointSchema,
    leaves: z.array(leafRange).min(1),
  }),
  /** Sums of the curvature matrix times V over the leaves, one K × p block a tree node. */
  z.strictObject({
    task: z.literal('multiply'),
    operator,
    point: pointSchema,
    leaves: z.array(leafRange).min(1),
    vectors: blockRefSchema,
    count: z.int().min(1).max(limits.rightHandSides),
  }),
  /** Sums of K-FAC's factors over the leaves, for labels drawn from the model: Ω and Γ of each dense layer and convolution. */
  z.strictObject({
    task: z.literal('kronecker'),
    operator,
    point: pointSchema,
    leaves: z.array(leafRange).min(1),
    /** Of the labels; leaf i draws from the stream (seed, i). */
    seed: z.int().min(0),
  }),
  /**
   * Sums of the curvature matrix times V over the rows of one minibatch that lie in the leaves, one K × p block a node of
   * the tree over the leaves that the minibatch has rows in, numbered in their order.
   */
  z.strictObject({
    task: z.literal('multiply-rows'),
    operator,
    point: pointSchema,
    /** Leaves that the minibatch has rows in. */
    leaves: z.array(leafRange).min(1),
    vectors: blockRefSchema,
    count: z.int().min(1).max(limits.rightHandSides),
    /** Rows of the minibatch, drawn from all rows of the dataset by the stream of these numbers. */
    rows: z.int().min(1).max(limits.leafRows),
    seeds: z.array(z.int().min(0)).min(1).max(8),
    /** How many leaves the minibatch has rows in. */
    touched: z.int().min(1).max(limits.leaves),
  }),
  /** One LiSSA chain through minibatches of one shard: state and right-hand sides K × p. */
  z.strictObject({
    task: z.literal('chain'),
    operator,
    /** Unique among the operator's chain tasks. */
    id: z.int().min(0),
    point: pointSchema,
    shard: z.int().min(0),
    /** `after`: what the chain task of that id, sent to the same worker before, ends with. */
    state: z.union([blockRefSchema, z.strictObject({ after: z.int().min(0) })]),
    rhs: blockRefSchema,
    count: z.int().min(1).max(limits.rightHandSides),
    batchSize: z.int().min(1),
    sampling: z.enum(['epoch', 'replacement']),
    /** Which of the shard's minibatches, first…end−1. */
    first: z.int().min(0),
    end: z.int().min(1),
    /** 1 − λ/scale (or the authors' 1 − damping). */
    shrink: z.number(),
    scale: z.number().positive(),
    /** Numbers that name this draw of the shard's rows. */
    seeds: z.array(z.int().min(0)).min(1).max(8),
  }),
  /** ∇ℓ of single source rows of any dataset at the point, one p-vector each. */
  z.strictObject({
    task: z.literal('row-gradients'),
    operator,
    point: pointSchema,
    dataset: datasetRefSchema,
    rows: z.array(z.int().min(0)).min(1).max(limits.rightHandSides),
  }),
]);

/** A node of the canonical reduction tree: leaves [index·2^level, (index+1)·2^level). */
export const nodeSchema = z.strictObject({ level: z.int().min(0).max(40), index: z.int().min(0) });

export const taskReplySchema = z.discriminatedUnion('ok', [
  z.object({
    ok: z.literal(true),
    /** Tree nodes whose sums the block holds, in order; empty for tasks that sum nothing. */
    nodes: z.array(nodeSchema),
    block: blockRefSchema.nullable(),
    /** Of arithmetic, summed over the threads. */
    busySeconds: z.number().min(0),
    /** From the task's arrival to the reply: what is not arithmetic is the worker's own overhead. */
    heldSeconds: z.number().min(0),
    /** With exact products: what the worker found before it trusted the first one. */
    selfCheck: selfCheckSchema.optional(),
    /** In the reply to `open`: the engine that does this operator's arithmetic. A plugin's is never `onnx`. */
    engine: z.string().optional(),
    /** Why that engine. */
    reason: z.string().optional(),
  }),
  z.object({ ok: z.literal(false), error: errorSchema }),
]);

/** Published on `worker.<id>.heartbeat` every second. */
export const workerHeartbeatSchema = z.object({
  id: nameSchema,
  engine: z.string(),
  /** Why this engine. */
  reason: z.string(),
  threads: z.int().min(1),
  host: z.string(),
  pid: z.int(),
  version: z.string(),
  cacheBytes: z.number(),
  usedBytes: z.number(),
  tasks: z.int().min(0),
  operators: z.array(z.string()),
  /** `draining`: finishes what it has, takes nothing new. */
  state: z.enum(['ready', 'draining', 'gone']),
});

/** Published on `coordinator.<id>.heartbeat` every second; an operator that nobody names any more is closed. */
export const coordinatorHeartbeatSchema = z.object({
  id: nameSchema,
  version: z.string(),
  host: z.string(),
  pid: z.int(),
  job: z.string().nullable(),
  operators: z.array(z.string()),
  workers: z.array(z.string()),
});

export type BlockRef = z.infer<typeof blockRefSchema>;
export type Point = z.infer<typeof pointSchema>;
export type DatasetRef = z.infer<typeof datasetRefSchema>;
export type OperatorSpec = z.infer<typeof operatorSchema>;
export type Task = z.infer<typeof taskSchema>;
export type TaskOf<Kind extends Task['task']> = Extract<Task, { task: Kind }>;
export type TaskReply = z.infer<typeof taskReplySchema>;
export type WorkerHeartbeat = z.infer<typeof workerHeartbeatSchema>;
export type CoordinatorHeartbeat = z.infer<typeof coordinatorHeartbeatSchema>;
