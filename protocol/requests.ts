import { z } from 'zod';
import { methodSchema } from './methods.js';
import { limits, nameSchema } from './names.js';

const positive = z.number().positive();

/** Where the right-hand sides v₁…v_K come from. */
export const rhsSchema = z.discriminatedUnion('kind', [
  /** One vector of ones. */
  z.strictObject({ kind: z.literal('ones') }),
  /** ∇ℓ(z, θ̂) of each named source row of a dataset, without the l2 term, each its own column. */
  z.strictObject({
    kind: z.literal('gradient'),
    dataset: nameSchema,
    rows: z.array(z.int().min(0)).min(1).max(limits.rightHandSides),
  }),
  /** An uploaded block of vectors (Arrow), by its name in the vectors store. */
  z.strictObject({ kind: z.literal('vectors'), name: nameSchema }),
]);

/** How products with the Hessian are made: the exact R-operator, or central differences with v scaled by `step`. */
export const hvpSchema = z.discriminatedUnion('mode', [
  z.strictObject({ mode: z.literal('exact') }),
  z.strictObject({ mode: z.literal('finite-difference'), step: positive }),
]);

/**
 * The matrix that is multiplied by: the Hessian of the objective, or the generalised Gauss-Newton matrix, which leaves
 * out the second derivatives of the network and is never indefinite.
 */
export const curvatures = ['hessian', 'gauss-newton'] as const;

const common = {
  model: nameSchema,
  dataset: nameSchema,
  curvature: z.enum(curvatures).default('hessian'),
  hvp: hvpSchema.default({ mode: 'exact' }),
  /** Rows of a leaf, the unit of reduction. LiSSA takes whole shards where it is not given. */
  leafRows: z.int().min(1).max(limits.leafRows).optional(),
};

/** λ in (H + λI)⁻¹, on top of the model's l2. */
const damping = z.number().min(0).default(0);

export const hvpRequestSchema = z.strictObject({
  type: z.literal('hvp'),
  ...common,
  rhs: rhsSchema,
  damping,
});
export const gradientRequestSchema = z.strictObject({ type: z.literal('gradient'), ...common });
export const solveRequestSchema = z.strictObject({
  type: z.literal('solve'),
  ...common,
  rhs: rhsSchema,
  /** λ in (H + λI)⁻¹, on top of the model's l2. `auto`: a tenth of the mean eigenvalue, more where H is indefinite. */
  damping: z.union([z.number().min(0), z.literal('auto')]).default(0),
  method: methodSchema,
});
export const fitRequestSchema = z.strictObject({
  type: z.literal('fit'),
  ...common,
  /** Name that the trained model is stored under; that of the model itself moves its parameters. */
  into: nameSchema,
  /** Whether another model of the name `into` may be replaced. */
  replace: z.boolean().default(false),
  gradientTolerance: positive.default(1e-5),
  maxIterations: z.int().min(1).max(10_000).default(100),
});

const eigenvalues = z.int().min(0).max(512).default(0);
/** Eigenvalues, trace, log-determinant and spectral density of H. */
export const spectrumRequestSchema = z.strictObject({
  type: z.literal('spectrum'),
  ...common,
  /** How many of the largest eigenvalues, with their vectors. */
  largest: eigenvalues,
  /** How many of the smallest. */
  smallest: eigenvalues,
  /** An eigenpair has converged at ‖Hx − θx‖ ≤ tolerance·‖H‖. */
  tolerance: positive.default(1e-4),
  /** Passes over the data for eigenpairs, at most. */
  maxIterations: z.int().min(1).max(100_000).default(300),
  /** Vectors of a pass for eigenpairs: an eigenvalue of multiplicity m is found up to that often. */
  blockSize: z.int().min(1).max(64).default(1),
  /** Estimate tr H: `hutch++` (two passes), or `hutchinson`. */
  trace: z.enum(['hutch++', 'hutchinson']).optional(),
  /** Estimate log det(H + λI). */
  logDeterminant: z.boolean().default(false),
  /** λ of the log-determinant. */
  damping,
  /** Estimate the density of eigenvalues. */
  density: z.boolean().default(false),
  /** Random vectors of the trace, the log-determinant and the density. */
  probes: z.int().min(1).max(1000).default(12),
  /** Lanczos steps from each probe, for the log-determinant and the density. */
  steps: z.int().min(2).max(500).default(30),
  seed: z.int().min(0).default(0),
});

/** What a client submits. */
export const requestSchema = z
  .discriminatedUnion('type', [
    hvpRequestSchema,
    gradientRequestSchema,
    solveRequestSchema,
    fitRequestSchema,
    spectrumRequestSchema,
  ])
  .refine((request) => request.type !== 'spectrum' || asksForSomething(request), {
    path: ['largest'],
    message: 'ask for something: largest or smallest eigenvalues, trace, logDeterminant or density',
  })
  .refine(
    (request) =>
      request.type !== 'solve' ||
      request.damping !== 'auto' ||
      request.method.name !== 'lissa' ||
      request.method.convention === 'exact',
    {
      path: ['damping'],
      message: 'damping auto is a λ, which the convention authors does not have: give a number',
    },
  )
  .refine(({ curvature, hvp }) => curvature === 'hessian' || hvp.mode === 'exact', {
    path: ['hvp'],
    message:
      'finite differences are of the gradient, whose derivative is the Hessian: with curvature gauss-newton take mode exact',
  });

function asksForSomething({ largest, smallest, trace, logDeterminant, density }: SpectrumRequest): boolean {
  return largest + smallest > 0 || trace !== undefined || logDeterminant || density;
}

export type Rhs = z.infer<typeof rhsSchema>;
export type Curvature = (typeof curvatures)[number];
export type HvpMode = z.infer<typeof hvpSchema>;
export type SolveRequest = z.infer<typeof solveRequestSchema>;
export type FitRequest = z.infer<typeof fitRequestSchema>;
export type SpectrumRequest = z.infer<typeof spectrumRequestSchema>;
export type Request = z.infer<typeof requestSchema>;
/** A request as a client writes it, defaults left out. */
export type RequestInput = z.input<typeof requestSchema>;
