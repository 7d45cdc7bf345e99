import { z } from 'zod';
import { limits } from './names.js';

const positive = z.number().positive();

export const preconditioners = ['none', 'jacobi', 'nystrom', 'kfac'] as const;

export const cgSchema = z.strictObject({
  name: z.literal('cg'),
  /** Stop a column at ‖r‖ ≤ tolerance·‖v‖. */
  tolerance: positive.default(1e-5),
  maxIterations: z.int().min(1).max(1_000_000).default(500),
  /** One recursion whose directions serve all columns: fewer passes where there are several, more arithmetic between them. */
  block: z.boolean().default(false),
  /**
   * M ≈ H + λI that is easy to invert: the diagonal (`jacobi`), a randomised low-rank approximation (`nystrom`), or the
   * Kronecker factors of each dense layer (`kfac`).
   */
  preconditioner: z.enum(preconditioners).default('none'),
  /** Random vectors that the diagonal is estimated from, all in one pass (jacobi). */
  probes: z.int().min(1).max(limits.rightHandSides).default(32),
  /** The most vectors of the low-rank approximation (nystrom). */
  maxRank: z.int().min(1).max(2048).default(256),
  /** Of everything random: the preconditioner's, and that of the search for the smallest eigenvalue. */
  seed: z.int().min(0).default(0),
  /**
   * What to do where pᵀ(H + λI)p ≤ 0 is met: end as `indefinite` with a λ that does, raise λ to it (`damping` of the report is
   * then the one used), or solve the indefinite system by MINRES.
   */
  onIndefinite: z.enum(['fail', 'shift', 'minres']).default('fail'),
});

/** For any symmetric H + λI, indefinite or singular too: the least residual, and of those answers the shortest. */
export const minresSchema = z.strictObject({
  name: z.literal('minres'),
  /** Stop a column at ‖r‖ ≤ tolerance·‖v‖. */
  tolerance: positive.default(1e-5),
  maxIterations: z.int().min(1).max(1_000_000).default(500),
});

/** The dense matrix, made of p products, and factorised in float64: for p ≤ 8,192. */
export const directSchema = z.strictObject({
  name: z.literal('direct'),
  /** A column is `converged` at ‖v − (H + λI)s‖ ≤ tolerance·‖v‖, by float32 products; else `precision-limited`. */
  tolerance: positive.default(1e-5),
});

/** Direct or cg, whichever should cost fewer products; the report says which and why. */
export const autoSchema = z.strictObject({
  name: z.literal('auto'),
  /** Stop a column at ‖r‖ ≤ tolerance·‖v‖. */
  tolerance: positive.default(1e-5),
});

export const lissaSchema = z.strictObject({
  name: z.literal('lissa'),
  /** The recursion is s ← v + (1 − λ/scale)·s − H̃s/scale; it converges for scale > λmax(H̃)/2 + λ/2. */
  scale: positive,
  /** Rows of a minibatch; never more than a shard has. */
  batchSize: z.int().min(1).max(limits.leafRows).default(256),
  /** Passes over the dataset. */
  depth: z.int().min(1).max(1_000_000).default(1),
  /** Independent chains that are averaged. */
  samples: z.int().min(1).max(10_000).default(1),
  seed: z.int().min(0).default(0),
  /** Right-hand sides of one chain. */
  blockSize: z.int().min(1).max(limits.rightHandSides).default(16),
  /** `exact`: damping is λ. `authors`: Koh & Liang's code, s ← v + (1 − damping)·s − H̃s/scale, so λ = damping·scale. */
  convention: z.enum(['exact', 'authors']).default('exact'),
});

/** Newton-CG on ½xᵀ(H + λI)x − vᵀx from x = v, as SciPy's `fmin_ncg` does it. */
export const newtonCgSchema = z.strictObject({
  name: z.literal('newton-cg'),
  /** SciPy's `avextol`: stop a column once the mean absolute change of x in an iteration is no more than this. */
  averageTolerance: positive.default(1e-8),
  /** Newton iterations; each takes some products for its direction and one or more for its line search. */
  maxIterations: z.int().min(1).max(10_000).default(100),
});

/** How a solve request is solved. */
export const methodSchema = z.discriminatedUnion('name', [
  autoSchema,
  cgSchema,
  minresSchema,
  directSchema,
  lissaSchema,
  newtonCgSchema,
]);

export type Method = z.infer<typeof methodSchema>;
export type MethodName = Method['name'];
export type MethodOf<Name extends MethodName> = Extract<Method, { name: Name }>;
