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

/** Seconds that go by, and seconds that the threads of this process compute: those of others do not disturb them. */
export const clocks = {
  wall: () => performance.now() / 1000,
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  },
};

/** Seconds of the fastest of `repeats` runs or of all within half a second, after one that warms up. */
export async function fastest(
  repeats: number,
  work: () => Promise<unknown>,
  clock = clocks.wall,
): Promise<number> {
  await work();
  let best = Infinity;
  const started = performance.now();
  for (let i = 0; i < repeats || performance.now() - started < 500; i++) {
    const began = clock();
    await work();
    best = Math.min(best, clock() - began);
  }
  return best;
}
