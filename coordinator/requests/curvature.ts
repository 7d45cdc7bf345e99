import { z } from 'zod';
import { curvatureSchema, type Curvature } from '../../protocol/lissa.js';
import { parseJson } from '../../protocol/parse.js';
import { hessianKey } from '../kept-spectra.js';
import { symmetricEigen } from '../dense/symmetric-eigen.js';
import { quadrature, tridiagonals } from '../solvers/lanczos-quadrature.js';
import { hutchinson } from '../solvers/trace.js';
import type { Operator } from '../solvers/types.js';
import type { Context } from './context.js';
import { minibatchesOf, minibatchOperator } from './minibatches.js';
import { normalVectors, signVectors } from './random-vectors.js';

/*
 * The estimates that free numbers are chosen by. Their seed is not the request's, so that every job on the same model and
 * data chooses the same numbers, whether it finds the estimates kept or makes them.
 */
const seed = 0;
const streams = { probes: 3, rows: 4, starts: 5 };
const probes = 3;
const steps = 8;
const minibatches = 6;
const minibatchSteps = 6;

export interface Known<T> {
  value: T;
  /** From an earlier job. */
  reused: boolean;
}

/** Extreme Ritz values and trace of H, by a few Lanczos steps from three probes that share their passes. */
export async function curvatureOf(context: Context): Promise<Known<Curvature>> {
  return known(context, 'curvature', curvatureSchema, async () => {
    context.stage('curvature');
    const { operator } = context;
    const found = await tridiagonals(operator, {
      ...{ probes, steps, vectors: Infinity, signal: context.signal },
      probe: signVectors(operator.size, seed, streams.probes),
    });
    const { value: trace, standardError } = hutchinson(found);
    return { ...extremes(found), trace, ...(standardError !== undefined && { traceError: standardError }) };
  });
}

/** The largest eigenvalues of the Hessians of a few minibatches of so many rows. */
export async function minibatchCurvature(context: Context, batchSize: number): Promise<Known<number[]>> {
  return known(context, `minibatches-${batchSize}`, z.array(z.number()), async () => {
    context.stage('curvature of minibatches');
    const draw = minibatchesOf(context);
    const start = normalVectors(context.operator.size, seed, streams.starts);
    const largest = async (_: unknown, index: number) => {
      const of: Operator = minibatchOperator(context, draw(batchSize, [seed, streams.rows, index]));
      const options = { probes: 1, steps: minibatchSteps, vectors: Infinity, signal: context.signal };
      return extremes(await tridiagonals(of, { ...options, probe: () => start(index) })).largest;
    };
    return Promise.all(Array.from({ length: minibatches }, largest));
  });
}

function extremes(found: Awaited<ReturnType<typeof tridiagonals>>): { largest: number; lowest: number } {
  const all = found.map((probe) => quadrature(probe, symmetricEigen));
  return {
    largest: Math.max(...all.map(({ nodes, residuals }) => nodes.at(-1)! + residuals.at(-1)!)),
    lowest: Math.min(...all.map(({ nodes }) => nodes[0]!)),
  };
}

/** What an earlier job kept under this name for the same Hessian, else what `find` finds, which is kept. */
async function known<T>(
  { prepared, stores }: Context,
  name: string,
  schema: z.ZodType<T>,
  find: () => Promise<T>,
): Promise<Known<T>> {
  const key = `${hessianKey(prepared)}/${name}.json`;
  const kept = await stores.spectra.get(key);
  if (kept) return { value: parseJson(schema, kept, `the kept ${name}`), reused: true };
  const value = await find();
  await stores.spectra.put(key, Buffer.from(JSON.stringify(value)));
  return { value, reused: false };
}
