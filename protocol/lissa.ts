import { z } from 'zod';

/** What was estimated of H's curvature before a solve that left numbers to be chosen. */
export const curvatureSchema = z.object({
  /** No eigenvalue of H is much above this: the largest Ritz value and its residual. */
  largest: z.number(),
  /** The smallest Ritz value that was met. */
  lowest: z.number(),
  /** tr H. */
  trace: z.number(),
  /** Standard error of the trace. */
  traceError: z.number().optional(),
});

/** How a LiSSA solve went. */
export const lissaReportSchema = z.object({
  /** The scale of the chains that the answer is made of. */
  scale: z.number(),
  /** Rows of a minibatch. */
  batchSize: z.int(),
  /** Passes at most. */
  depth: z.int(),
  sampling: z.string(),
  /** Whether the answer is the mean over the tail of each chain, or its last state. */
  average: z.boolean(),
  /** Steps of the longest chain. */
  steps: z.number(),
  /** Scales that diverged before, and the steps after which that was seen. */
  restarts: z.array(z.object({ scale: z.number(), steps: z.number() })),
  /** Running estimate of the worst residual after each pass: the mean residual over the tail of the run. */
  estimates: z.array(z.number()),
  /** The noise in each column's true residual, relative to ‖v‖: what more samples would take away (two samples or more). */
  residualErrors: z.array(z.number()).optional(),
  /** Present where something was chosen by it. */
  curvature: curvatureSchema
    .extend({
      /** Largest eigenvalues of some minibatches' Hessians, where the scale was chosen. */
      minibatches: z.array(z.number()).optional(),
      /** Whether all this was known from an earlier job, and cost nothing. */
      reused: z.boolean(),
      /** Hessian-vector products that it cost. */
      products: z.number(),
    })
    .optional(),
  /** Part of the time that each worker's threads were busy, from the first chain task to the last. */
  utilisation: z.record(z.string(), z.number()).optional(),
});

export type Curvature = z.infer<typeof curvatureSchema>;
export type LissaReport = z.infer<typeof lissaReportSchema>;
