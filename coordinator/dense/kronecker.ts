import { Piscina } from 'piscina';
import type { Preconditioner } from '../solvers/preconditioner.js';
import { row } from '../solvers/vectors.js';
import type { KroneckerFactors } from './kronecker-inverse.js';
import type { Residuals } from './kronecker-thread.js';

/** What is handed to the thread at a time (8 MiB): copying it blocks the coordinator's own for some milliseconds. */
const valuesAtOnce = 2 ** 20;
/** Milliseconds without work after which the thread ends; the next application starts another. */
const idleTimeout = 10_000;

/**
 * The inverse of M = ⊕ (Ω ⊗ Γ) + diag(l2) + λI for every λ, see `KroneckerInverse`, applied to all residuals together in a thread
 * of its own: ONNX Runtime's products block the thread that asks for them.
 */
export function kroneckerPreconditioner(
  factors: KroneckerFactors,
  signal: AbortSignal,
): (damping: number) => Preconditioner {
  const size = factors.l2.length;
  const filename = new URL('./kronecker-thread.js', import.meta.url).href;
  const pool = new Piscina({
    ...{ filename, minThreads: 0, maxThreads: 1, idleTimeout },
    ...{ atomics: 'disabled', workerData: factors },
  });
  const atOnce = Math.max(1, Math.floor(valuesAtOnce / size));
  return (damping) => ({
    async apply(residuals, into) {
      for (let first = 0; first < residuals.length; first += atOnce) {
        const some = residuals.slice(first, first + atOnce);
        const block = new Float64Array(some.length * size);
        some.forEach((residual, k) => block.set(residual, k * size));
        const task: Residuals = { block, damping };
        const found = (await pool.run(task, { signal, transferList: [block.buffer] })) as Float64Array;
        some.forEach((_, k) => into[first + k]!.set(row(found, k, size)));
      }
    },
  });
}
