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

/** Something to measure, and what it holds. */
export interface Work {
  run: () => Promise<unknown>;
  dispose: () => void;
}

/**
 * Seconds of each work's fastest run; NaN for one that is absent. They take turns, `rounds` times for at least `share`
 * seconds each, so that minutes in which the machine is slow do not count against one of them. Each is run once before, to
 * warm up, and disposed of in the end.
 */
export async function alternating<Name extends string>(
  works: Readonly<Record<Name, Work | undefined>>,
  clock = clocks.wall,
  { rounds = 6, share = 0.15 } = {},
): Promise<Record<Name, number>> {
  const entries = Object.entries<Work | undefined>(works);
  const best = Object.fromEntries(entries.map(([name]) => [name, NaN])) as Record<string, number>;
  for (let round = -1; round < rounds; round++)
    for (const [name, work] of entries)
      for (let spent = 0; work !== undefined && spent <= (round < 0 ? 0 : share);) {
        const began = clock();
        await work.run();
        const seconds = clock() - began;
        if (round >= 0) best[name] = Math.min(best[name] || Infinity, seconds);
        spent += seconds;
      }
  for (const [, work] of entries) work?.dispose();
  return best;
}
