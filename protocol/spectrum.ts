import { z } from 'zod';

/** An eigenvalue θ of H, and how sure it is. */
export const eigenvalueSchema = z.object({
  value: z.number(),
  /** ‖Hx − θx‖ of its unit vector, by a product of its own: an eigenvalue of H is no farther from θ than that. */
  residual: z.number(),
});

/** What a low-rank solve was made of. */
export const lowRankSchema = z.object({
  rank: z.int(),
  /** By magnitude, descending; their vectors are kept by the farm. */
  eigenvalues: z.array(eigenvalueSchema),
  /** c, where H was taken for QΛQᵀ + c·(I − QQᵀ); absent where the complement was dropped. */
  complement: z.number().optional(),
  /** Whether the eigenpairs were kept from an earlier job, and cost nothing. */
  reused: z.boolean(),
  /** Hessian-vector products that the eigenpairs cost. */
  products: z.number(),
});

/** A stochastic estimate: the mean over probes. */
export const estimateSchema = z.object({
  value: z.number(),
  /** Of the mean, over the probes; absent with one probe. */
  standardError: z.number().optional(),
});

/** What a spectrum request found, H with l2 and without damping. */
export const spectrumSchema = z.object({
  /** The largest eigenvalues, descending; their vectors are the first of `eigenvectors.arrow`. */
  largest: z.array(eigenvalueSchema).optional(),
  /** The smallest eigenvalues, ascending; their vectors follow those of the largest. */
  smallest: z.array(eigenvalueSchema).optional(),
  /** tr H. */
  trace: estimateSchema.optional(),
  /** log det(H + λI), λ the request's damping. */
  logDeterminant: estimateSchema
    .extend({
      /** How far the estimate moved in the last quarter of the Lanczos steps. */
      truncation: z.number(),
    })
    .optional(),
  /** The density of eigenvalues, by stochastic Lanczos quadrature. */
  density: z
    .object({
      /** Ritz values of all probes, ascending. */
      nodes: z.array(z.number()),
      /** The part of the spectrum at each node; they sum to 1. */
      weights: z.array(z.number()),
      /** Where the smooth density is given. */
      eigenvalues: z.array(z.number()),
      /** Part of the spectrum per unit of eigenvalue: the nodes, each spread by a Gaussian. */
      density: z.array(z.number()),
      /** Standard deviation of that Gaussian. */
      width: z.number(),
    })
    .optional(),
});

export type Spectrum = z.infer<typeof spectrumSchema>;
