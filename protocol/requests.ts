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
  damping,
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

/** What a client submits. */
export const requestSchema = z
  .discriminatedUnion('type', [hvpRequestSchema, gradientRequestSchema, solveRequestSchema, fitRequestSchema])
  .refine(({ curvature, hvp }) => curvature === 'hessian' || hvp.mode === 'exact', {
    path: ['hvp'],
    message:
      'finite differences are of the gradient, whose derivative is the Hessian: with curvature gauss-newton take mode exact',
  });

export type Rhs = z.infer<typeof rhsSchema>;
export type Curvature = (typeof curvatures)[number];
export type HvpMode = z.infer<typeof hvpSchema>;
export type SolveRequest = z.infer<typeof solveRequestSchema>;
export type FitRequest = z.infer<typeof fitRequestSchema>;
export type Request = z.infer<typeof requestSchema>;
/** A request as a client writes it, defaults left out. */
export type RequestInput = z.input<typeof requestSchema>;
