import type { Preconditioner } from '../solvers/preconditioner.js';
import { row } from '../solvers/vectors.js';
import { inThread } from './in-thread.js';
import type { KroneckerFactors } from './kronecker-inverse.js';

/** What is handed to the thread at a time (8 MiB): copying it blocks the coordinator's own for some milliseconds. */
const valuesAtOnce = 2 ** 20;

/** The factors that the thread has. */
let known: KroneckerFactors | undefined;

/**
 * The inverse of M = ⊕ (Ω ⊗ Γ) + diag(l2) + λI for every λ, see `KroneckerInverse`, applied to all residuals together in the
 * thread for long arithmetic: ONNX Runtime's products block the thread that asks for them.
 */
export function kroneckerPreconditioner(
  factors: KroneckerFactors,
  signal: AbortSignal,
): (damping: number) => Preconditioner {
  const size = factors.l2.length;
  const atOnce = Math.max(1, Math.floor(valuesAtOnce / size));
  return (damping) => ({
    async apply(residuals, into) {
      for (let first = 0; first < residuals.length; first += atOnce) {
        const some = residuals.slice(first, first + atOnce);
        const block = new Float64Array(some.length * size);
        some.forEach((residual, k) => block.set(residual, k * size));
        const found = await applyInverse(factors, block, damping, signal);
        some.forEach((_, k) => into[first + k]!.set(row(found, k, size)));
      }
    },
  });
}

/** The thread takes its tasks in order: factors that were sent are there for the next. A failure may have ended it. */
async function applyInverse(
  factors: KroneckerFactors,
  block: Float64Array<ArrayBuffer>,
  damping: number,
  signal: AbortSignal,
): Promise<Float64Array> {
  const application = { factors: known === factors ? undefined : factors, block, damping };
  known = factors;
  try {
    return await inThread('applyInverse', application, signal, [block.buffer]);
  } catch (error) {
    known = undefined;
    throw error;
  }
}
