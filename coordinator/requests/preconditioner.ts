import { BadRequestError, TooLargeError } from '../../protocol/errors.js';
import type { Report } from '../../protocol/jobs.js';
import type { MethodOf } from '../../protocol/methods.js';
import { factoredParameters, kroneckerBlocks, kroneckerWidth } from '../../protocol/kronecker.js';
import { networkOf, isPlugin } from '../../protocol/model.js';
import { inThread } from '../dense/in-thread.js';
import { kroneckerPreconditioner } from '../dense/kronecker.js';
import { symmetricEigen } from '../dense/symmetric-eigen.js';
import { estimateDiagonal, jacobi } from '../solvers/jacobi.js';
import { firstRank, lowRankPreconditioner, nystrom } from '../solvers/nystrom.js';
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
/** Float64 values of a low-rank approximation and its sketch (3 GiB in all). */
export const basisValues = 2 ** 27;

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
    case 'kfac':
      return kfac(seed, context);
  }
}

/** Values of all factors together (128 MiB of float64): a layer of 4,000 inputs. */
export const factorValues = 2 ** 24;

async function kfac(seed: number, context: Context): Promise<Preconditioning> {
  const { operator, prepared, signal } = context;
  const network = networkOf(prepared.model);
  if (isPlugin(network))
    throw new BadRequestError('a plugin has no layers, and no Kronecker factors', {
      hint: 'take --preconditioner nystrom',
    });
  const blocks = kroneckerBlocks(network);
  if (blocks.length === 0)
    throw new BadRequestError('kfac knows dense layers and convolutions, and the model has none', {
      hint: 'take --preconditioner nystrom',
    });
  const width = kroneckerWidth(blocks);
  if (width > factorValues)
    throw new TooLargeError(`the Kronecker factors have ${width} values, more than ${factorValues}`, {
      hint: 'take --preconditioner nystrom',
    });
  context.stage('Kronecker factors');
  const factors = await operator.kroneckerFactors(width, seed);
  let offset = 0;
  const next = (size: number) => ({ matrix: factors.slice(offset, (offset += size * size)), size });
  const matrices = blocks.flatMap(({ rows, units }) => [next(rows), next(units)]);
  const eigen = await inThread('eigen', matrices, signal);
  const factored = blocks.map((block, i) => ({ ...block, input: eigen[2 * i]!, output: eigen[2 * i + 1]! }));
  return {
    at: kroneckerPreconditioner({ blocks: factored, l2: operator.shape.l2 }, signal),
    report: { kind: 'kfac', products: 1, factored: factoredParameters(blocks) },
  };
}
