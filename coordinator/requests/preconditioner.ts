import type { Report } from '../../protocol/jobs.js';
import type { MethodOf } from '../../protocol/methods.js';
import { symmetricEigen } from '../dense/symmetric-eigen.js';
import { estimateDiagonal, jacobi } from '../solvers/jacobi.js';
import { lowRankPreconditioner, nystrom } from '../solvers/nystrom.js';
import type { Preconditioner } from '../solvers/preconditioner.js';
import type { Context } from './context.js';
import { normalVectors, signVectors } from './random-vectors.js';

/** A preconditioner for every λ, made of passes that none of them repeats. */
export interface Preconditioning {
  at: (damping: number) => Preconditioner;
  report: NonNullable<Report['preconditioner']>;
}

/** Number of the random streams of preconditioners. */
const stream = 0;
/** The first sketch of a Nyström approximation. */
const firstRank = 16;
/** Float64 values of a low-rank approximation and its sketch (3 GiB in all). */
const basisValues = 2 ** 27;

/** What the request's `preconditioner` names; nothing for `none`. */
export async function preconditioner(
  { preconditioner: kind, probes, maxRank, seed }: MethodOf<'cg'>,
  damping: number,
  context: Context,
): Promise<Preconditioning | undefined> {
  const { operator, signal } = context;
  const { size } = operator;
  switch (kind) {
    case 'none':
      return undefined;
    case 'jacobi': {
      context.stage('diagonal');
      const diagonal = await estimateDiagonal(operator, probes, signVectors(size, seed, stream));
      return { at: (at) => jacobi(diagonal, at), report: { kind, products: diagonal.products } };
    }
    case 'nystrom': {
      context.stage('low-rank approximation');
      const found = await nystrom(operator, {
        ...{ damping, firstRank, signal, eigensolver: symmetricEigen },
        maximumRank: Math.min(maxRank, Math.max(1, Math.floor(basisValues / size))),
        random: normalVectors(size, seed, stream),
      });
      return {
        at: (at) => lowRankPreconditioner(found, at),
        report: { kind, products: found.products, rank: found.values.length },
      };
    }
  }
}
