import { z } from 'zod';
import { parseJson } from '../../protocol/parse.js';
import { decodeVectors, encodeVectors } from '../../protocol/vectors.js';
import { symmetricEigen } from '../dense/symmetric-eigen.js';
import { hessianKey } from '../kept-spectra.js';
import { lanczos, type Eigenpairs } from '../solvers/lanczos.js';
import type { Context } from './context.js';
import { normalVectors } from './random-vectors.js';
import { solverOptions } from './solver-options.js';

/** Number that keeps this random stream apart from those of other estimates. */
const stream = 6;
/** A pair has converged at ‖Hx − θx‖ ≤ this · ‖H‖. */
const tolerance = 1e-5;

const keptSchema = z.object({
  values: z.array(z.number()),
  residuals: z.array(z.number()),
  converged: z.boolean(),
  iterations: z.int(),
  products: z.int(),
});

/** The settings of the eigenpairs that are kept of this H. */
export async function namesOfEigenpairs({ prepared, stores }: Context) {
  const prefix = `${hessianKey(prepared)}/eigenpairs-`;
  const names = await stores.spectra.names(prefix);
  return names.flatMap((name) => {
    const [rank, maxIterations, seed] = name.slice(prefix.length, -'.json'.length).split('-').map(Number);
    return name.endsWith('.json') ? [{ rank: rank!, maxIterations: maxIterations!, seed: seed! }] : [];
  });
}

/** The eigenpairs of H of largest magnitude: those that an earlier job kept, bit for bit, or new ones, which are kept. */
export async function keptEigenpairs(
  rank: number,
  maxIterations: number,
  seed: number,
  context: Context,
): Promise<Eigenpairs & { reused: boolean }> {
  const { operator, prepared, stores } = context;
  const key = `${hessianKey(prepared)}/eigenpairs-${rank}-${maxIterations}-${seed}`;
  const [facts, vectors] = await Promise.all(
    ['json', 'arrow'].map((kind) => stores.spectra.get(`${key}.${kind}`)),
  );
  if (facts && vectors) {
    const { values, residuals, ...rest } = parseJson(keptSchema, facts, 'the kept eigenpairs');
    const block = Float64Array.from(decodeVectors(vectors).values);
    return {
      ...{ values: Float64Array.from(values), residuals: Float64Array.from(residuals) },
      ...{ vectors: block, ...rest, reused: true },
    };
  }
  context.stage('eigenpairs');
  const pairs = await lanczos(operator, {
    ...solverOptions(context, tolerance),
    ...{ wanted: { largest: 0, smallest: 0, magnitude: rank }, tolerance, blockSize: 1 },
    iterations: maxIterations,
    random: normalVectors(operator.size, seed, stream),
    eigensolver: symmetricEigen,
  });
  const { values, residuals, converged, iterations, products } = pairs;
  await stores.spectra.put(`${key}.arrow`, encodeVectors(pairs.vectors, rank, operator.size));
  const kept = { values: [...values], residuals: [...residuals], converged, iterations, products };
  await stores.spectra.put(`${key}.json`, Buffer.from(JSON.stringify(kept)));
  return { ...pairs, reused: false };
}
