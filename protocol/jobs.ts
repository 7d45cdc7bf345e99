import { z } from 'zod';
import { lissaReportSchema } from './lissa.js';
import { automaticStepsSchema, methodSchema, preconditioners } from './methods.js';
import { nameSchema, sha256Schema } from './names.js';
import { requestSchema } from './requests.js';
import { lowRankSchema, spectrumSchema } from './spectrum.js';

export const errorSchema = z.object({
  code: z.string(),
  message: z.string(),
  hint: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});

/** `waiting`: taken by a coordinator that has no worker yet. */
export const jobStates = ['queued', 'waiting', 'running', 'done', 'failed', 'cancelled'] as const;

/** Published on `job.<id>.progress` while a job runs, at most a few times a second. */
export const progressSchema = z.object({
  job: nameSchema,
  /** What is going on, for people: `loading the data`, `cg`. */
  stage: z.string(),
  iteration: z.int().min(0),
  /** The limit, where one is known; the job may end earlier. */
  iterations: z.int().min(0).optional(),
  /** Estimated part of the stage that is done, 0…1: by the residual's way to its goal, else by iterations. */
  fraction: z.number().min(0).max(1).optional(),
  /** Worst relative residual (cg), relative change of a pass (lissa) or gradient norm (fit). */
  residual: z.number().optional(),
  /** Hessian-vector products so far, counted as passes over the dataset times right-hand sides. */
  products: z.number().min(0),
  productsPerSecond: z.number().min(0).optional(),
  etaSeconds: z.number().min(0).optional(),
  workers: z.int().min(0),
  seconds: z.number().min(0),
});

/** Kept in KV under the job's id and published whole on `job.<id>.state` when the state changes. */
export const jobSchema = z.object({
  id: nameSchema,
  request: requestSchema,
  state: z.enum(jobStates),
  /** One line for people: what it waits for, how it ended. */
  message: z.string(),
  coordinator: z.string().optional(),
  /** How many times the job was taken from the queue. */
  attempts: z.int().min(0),
  submitted: z.iso.datetime(),
  started: z.iso.datetime().optional(),
  finished: z.iso.datetime().optional(),
  /** Somebody wants it to end: whoever runs it, or takes it next, sees to that. */
  cancelRequested: z.boolean().optional(),
  error: errorSchema.optional(),
});

/** A stored file: an object of the results store. */
export const fileSchema = z.object({ name: z.string(), bytes: z.int().min(0), sha256: sha256Schema });

/** One column's outcome. */
export const columnSchema = z.object({
  status: z.string(),
  /** ‖v − (H + λI)s‖ / ‖v‖, recomputed with one more product after the solver stopped. */
  trueResidual: z.number().optional(),
  /** As SciPy counts (newton-cg): points that f and that ∇f were evaluated at, and products with H for directions. */
  evaluations: z.object({ function: z.int(), gradient: z.int(), hessian: z.int() }).optional(),
  /** Iterations of this column (newton-cg). */
  iterations: z.int().optional(),
});

/** How far products agree with other ways to the same number, on some rows of a worker's first leaf. */
export const selfCheckSchema = z.object({
  /** Largest |uᵀHv − vᵀHu|, relative. */
  symmetry: z.number(),
  /** Largest relative difference between a product and central differences. */
  differences: z.number(),
  /** What those differences themselves are uncertain by, relative: their change when the step is halved. */
  doubt: z.number(),
  /** The step, relative to the size of each layer's parameters; 0 if every step crosses a kink in every row. */
  step: z.number(),
  /** Rows compared. */
  rows: z.int().min(0),
});

/** A preconditioner, and what it took. */
export const preconditionerSchema = z.object({
  kind: z.enum(preconditioners),
  /** Vectors multiplied for it; kfac's pass counts as one. */
  products: z.number().min(0),
  /** Vectors of the low-rank approximation (nystrom). */
  rank: z.int().min(0).optional(),
  /** Parameters that have Kronecker factors; the others count by the mean of those (kfac). */
  factored: z.int().min(0).optional(),
});

/** What was found of an indefinite H, and done. */
export const indefiniteSchema = z.object({
  policy: z.enum(['fail', 'shift', 'minres']),
  /** The smallest eigenvalue of H that was found, and ‖Hx − θx‖ of its vector; not with `minres`, which needs none. */
  smallestEigenvalue: z.number().optional(),
  residual: z.number().optional(),
});

/** The JSON beside each result: everything needed to judge and to repeat the run. */
export const reportSchema = z.object({
  format: z.literal('ihvp-report'),
  version: z.literal(1),
  job: nameSchema,
  request: requestSchema,
  status: z.string(),
  /** What to do next, or that nothing is needed. */
  advice: z.string(),
  model: z.object({
    name: nameSchema,
    parameters: z.int(),
    /** Of the parameters. */
    sha256: sha256Schema,
    /** Of layers, loss and l2. */
    network: sha256Schema.optional(),
  }),
  dataset: z.object({
    name: nameSchema,
    rows: z.int(),
    sha256: sha256Schema,
    leaves: z.int(),
    leafRows: z.int(),
  }),
  /** Where the right-hand sides are gradients of its rows. */
  rhsDataset: z.object({ name: nameSchema, sha256: sha256Schema }).optional(),
  /** λ that the answer is for. */
  damping: z.number().optional(),
  columns: z.array(columnSchema).optional(),
  /** What auto took in the end, with its settings, why, and what makes it do the same again. */
  chosen: z
    .object({ method: methodSchema, why: z.string(), again: automaticStepsSchema.optional() })
    .optional(),
  iterations: z.int().min(0).optional(),
  /**
   * Worst column of each iteration (cg), relative change of each pass (lissa) or gradient norm (fit); of more than
   * 10,000 a report keeps every second, third, … and the last.
   */
  residualHistory: z.array(z.number()).optional(),
  /**
   * The same against the products so far, at most 1,000 points; the last of a solve is its worst true residual (lissa has
   * changes only).
   */
  convergence: z.array(z.object({ products: z.number(), residual: z.number() })).optional(),
  /** Standard error over samples, ‖se‖/‖s‖ of each column (lissa with two samples or more). */
  standardErrors: z.array(z.number()).optional(),
  /** Of a solve by LiSSA. */
  lissa: lissaReportSchema.optional(),
  /** Of a solve by arnoldi. */
  lowRank: lowRankSchema.optional(),
  /** Of a spectrum request. */
  spectrum: spectrumSchema.optional(),
  /** What CG was preconditioned by. Its products are counted in `products`. */
  preconditioner: preconditionerSchema.optional(),
  /** Where H + λI turned out not to be positive definite (cg). */
  indefinite: indefiniteSchema.optional(),
  /** κ₁(H + λI), an estimate from below (direct). */
  conditionNumber: z.number().optional(),
  loss: z.number().optional(),
  gradientNorm: z.number().optional(),
  products: z.number().min(0),
  seconds: z.object({ total: z.number(), loading: z.number(), solving: z.number() }),
  productsPerSecond: z.number().optional(),
  workers: z.array(
    z.object({
      id: z.string(),
      engine: z.string(),
      /** Why this engine. */
      reason: z.string().optional(),
      threads: z.int(),
      products: z.number(),
      /** Of arithmetic, summed over its threads. */
      busySeconds: z.number(),
      /** Summed over its tasks, from a task's arrival to the reply: beyond that the farm waited for broker and coordinator. */
      heldSeconds: z.number(),
      selfCheck: selfCheckSchema.optional(),
    }),
  ),
  warnings: z.array(z.string()),
  versions: z.record(z.string(), z.string()),
});

export type JobState = (typeof jobStates)[number];
export type Progress = z.infer<typeof progressSchema>;
export type Job = z.infer<typeof jobSchema>;
export type SelfCheck = z.infer<typeof selfCheckSchema>;
export type StoredFile = z.infer<typeof fileSchema>;
export type Column = z.infer<typeof columnSchema>;
export type Report = z.infer<typeof reportSchema>;

/** True once nothing more will happen to the job. */
export function isFinished(state: JobState): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled';
}
