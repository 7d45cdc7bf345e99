import { z } from 'zod';
import { samplings } from './minibatch.js';
import { limits } from './names.js';

const positive = z.number().positive();
const auto = z.literal('auto');

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
   * Kronecker factors of each dense layer and convolution (`kfac`).
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

const routes = ['cg', 'nystrom', 'kfac', 'direct'] as const;

/** What `auto` did, in the order in which it did it. */
export const automaticStepsSchema = z.strictObject({
  /** CG as it is, with a preconditioner, or the dense matrix; CG's iterations on it, and `maxRank` of a low-rank approximation. */
  steps: z
    .array(
      z.strictObject({
        route: z.enum(routes),
        iterations: z.int().min(0),
        rank: z.int().min(1).max(2048).optional(),
      }),
    )
    .min(1)
    .max(10),
  /** The eigenpairs of an earlier arnoldi solve that preconditioned CG, by that solve's settings. */
  kept: z
    .strictObject({
      rank: z.int().min(1).max(512),
      maxIterations: z.int().min(1).max(100_000),
      seed: z.int().min(0),
    })
    .optional(),
});

/**
 * CG, block CG, either with a preconditioner, the dense matrix, or a low-rank answer: what should multiply the fewest vectors,
 * by p, K, the spectrum, the seconds that a product takes, and the budget. The report says what and why.
 */
export const autoSchema = z.strictObject({
  name: z.literal('auto'),
  /** Stop a column at ‖r‖ ≤ tolerance·‖v‖. */
  tolerance: positive.default(1e-5),
  /** The budget: vectors multiplied at most, by one pass over the data each if they went alone. Default: none. */
  maxProducts: z.int().min(1).optional(),
  /** Of everything random. */
  seed: z.int().min(0).default(0),
  /** What an earlier solve did (`chosen.again` of its report), to be done again to the same bits. */
  again: automaticStepsSchema.optional(),
});

/** The r eigenpairs of H of largest magnitude, kept, so that later right-hand sides cost no passes but the check. */
export const arnoldiSchema = z.strictObject({
  name: z.literal('arnoldi'),
  rank: z.int().min(1).max(512).default(20),
  /**
   * What multiple c of the identity H is taken for on the complement of the eigenvectors: halfway (`midpoint`) between `l2`
   * and the `smallest` eigenvalue kept, either of them, or `drop`, which leaves that part of v out (Schioppa et al. 2022).
   */
  complement: z.enum(['midpoint', 'l2', 'smallest', 'drop']).default('midpoint'),
  /** A column is `converged` at ‖v − (H + λI)s‖ ≤ tolerance·‖v‖. */
  tolerance: positive.default(1e-2),
  /** Passes for the eigenpairs, at most. */
  maxIterations: z.int().min(1).max(100_000).default(500),
  /** Of the random start of the recursion. */
  seed: z.int().min(0).default(0),
});

export const lissaSchema = z.strictObject({
  name: z.literal('lissa'),
  /**
   * The recursion is s ← v + (1 − λ/scale)·s − H̃s/scale; it converges for scale > λmax(H̃)/2 + λ/2. `auto`: from the largest
   * eigenvalues of H and of some minibatches.
   */
  scale: z.union([positive, auto]).default('auto'),
  /** Rows of a minibatch; never more than a shard has (than the dataset, if they are `global`). `auto`: from trace and λmax. */
  batchSize: z.union([z.int().min(1).max(limits.leafRows), auto]).default('auto'),
  /** Passes over the dataset. `auto`: until the tolerance, within what the contraction rate says is enough. */
  depth: z.union([z.int().min(1).max(1_000_000), auto]).default('auto'),
  /** With depth `auto`: a chain ends when the running estimate of its residual is this small. */
  tolerance: positive.default(0.02),
  /** Whether a chain's answer is the mean over the tail of its run (with depth `auto`), or its last state (with a number). */
  average: z.boolean().optional(),
  /** How often to begin anew with at least twice the scale where chains diverge. */
  restarts: z.int().min(0).max(100).default(8),
  /** How minibatches are drawn. */
  sampling: z.enum(samplings).default('epoch'),
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
  arnoldiSchema,
  cgSchema,
  minresSchema,
  directSchema,
  lissaSchema,
  newtonCgSchema,
]);

export type Method = z.infer<typeof methodSchema>;
export type MethodName = Method['name'];
export type MethodOf<Name extends MethodName> = Extract<Method, { name: Name }>;
