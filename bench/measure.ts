import { generator, normal } from '../protocol/random.js';

/** The middle one: a pause of the machine's changes nothing. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** Standard normal values, the same in every run. */
export function normals(count: number, seed: number, scale = 1): Float32Array {
  const random = generator(seed);
  return Float32Array.from({ length: count }, () => scale * normal(random));
}

/** Seconds of the fastest of `repeats` runs, after one that warms up. */
export async function fastest(repeats: number, work: () => Promise<unknown>): Promise<number> {
  await work();
  let best = Infinity;
  for (let i = 0; i < repeats; i++) {
    const began = performance.now();
    await work();
    best = Math.min(best, performance.now() - began);
  }
  return best / 1000;
}
