import type { LissaChain } from './lissa-chain.js';
import type { Operator } from './types.js';
import { addScaled, dot, norm, row } from './vectors.js';

/** Samples whose spread in the residual is looked at: each costs a pass. */
const samplesLookedAt = 8;

interface Shape {
  count: number;
  size: number;
  samples: number;
  scale: number;
}

/**
 * The mean over samples of S/scale, added in the order of samples; its relative standard error per right-hand side; and
 * the deviations of the first samples from their own mean, of which the last is minus the sum of the others and left out.
 */
export function average(chains: readonly LissaChain[], { count, size, samples, scale }: Shape) {
  const of = (sample: number) => {
    const block = new Float64Array(count * size);
    for (const chain of chains)
      if (chain.sample === sample) block.set(chain.answer(), chain.columns.start * size);
    for (let i = 0; i < block.length; i += 1) block[i]! /= scale;
    return block;
  };
  const solutions = new Float64Array(count * size);
  for (let sample = 0; sample < samples; sample += 1) addScaled(solutions, 1 / samples, of(sample));
  if (samples < 2) return { solutions, standardErrors: null, deviations: [] };

  const squares = new Array<number>(count).fill(0);
  const some: Float64Array[] = [];
  for (let sample = 0; sample < samples; sample += 1) {
    const answer = of(sample);
    for (let i = 0; i < answer.length; i += 1)
      squares[Math.floor(i / size)]! += (answer[i]! - solutions[i]!) ** 2;
    if (sample < samplesLookedAt) some.push(answer);
  }
  const standardErrors = squares.map((square, k) => {
    const error = Math.sqrt(square / (samples * (samples - 1)));
    return error === 0 ? 0 : error / norm(row(solutions, k, size));
  });

  const mean = new Float64Array(count * size);
  for (const answer of some) addScaled(mean, 1 / some.length, answer);
  for (const answer of some) addScaled(answer, -1, mean);
  return { solutions, standardErrors, deviations: some.slice(0, -1) };
}

/**
 * √tr Cov(A s̄) / ‖v‖ per right-hand side, from the spread of A·sᵢ over g samples: Σᵢ ‖A·(sᵢ − s̄_g)‖² / (g − 1) / samples.
 * E‖v − A s̄‖² = ‖v − A·E s‖² + tr Cov(A s̄), so this is the noise in the true residual; what it leaves is bias.
 */
export async function residualErrors(
  operator: Operator,
  rightHandSides: Float64Array,
  deviations: readonly Float64Array[],
  samples: number,
  signal?: AbortSignal,
): Promise<number[]> {
  const { size } = operator;
  const count = rightHandSides.length / size;
  const squares = new Array<number>(count).fill(0);
  const last = new Float64Array(rightHandSides.length);
  const add = (image: Float64Array) => {
    for (let k = 0; k < count; k += 1) squares[k]! += dot(row(image, k, size), row(image, k, size));
  };
  for (const deviation of deviations) {
    signal?.throwIfAborted();
    const image = await operator.multiply(deviation, count);
    add(image);
    addScaled(last, -1, image);
  }
  add(last);
  return squares.map((square, k) => {
    const error = Math.sqrt(square / (deviations.length * samples));
    return error === 0 ? 0 : error / norm(row(rightHandSides, k, size));
  });
}
