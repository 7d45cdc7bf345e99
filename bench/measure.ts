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

/** Seconds of a run of each work in each turn; NaN for one that is absent. */
export type Turns<Name extends string> = Record<Name, number[]>;

/** Of a work, a turn. */
export const turnSeconds = 0.3;
/** V8 compiles what runs often, for a second of runs of a millisecond, on threads whose time would count. */
const warmUpSeconds = 1.5;

interface AlternatingOptions {
  rounds?: number;
  share?: number;
  onRound?: () => Promise<void>;
}

/**
 * Measures works in turns of at least `share` seconds each, so that minutes in which the machine is slow do not count against
 * one of them; a turn tells its mean, so that short runs do not look fast beside long ones for one lucky moment. Each
 * is run for a while before and disposed of in the end.
 */
export async function alternating<Name extends string>(
  works: Readonly<Record<Name, Work | undefined>>,
  clock = clocks.wall,
  { rounds = 9, share = turnSeconds, onRound = async () => {} }: AlternatingOptions = {},
): Promise<Turns<Name>> {
  const turns = {} as Record<string, number[]>;
  const entries = Object.entries<Work | undefined>(works);
  for (const [name, work] of entries) {
    turns[name] = [];
    await secondsOfRun(work, clocks.wall, warmUpSeconds);
  }
  for (let round = 0; round < rounds; round++) {
    await onRound();
    for (const [name, work] of entries) {
      turns[name]!.push(await secondsOfRun(work, clock, share));
    }
  }
  for (const [, work] of entries) work?.dispose();
  return turns as Turns<Name>;
}

/** Of a work's runs, the mean over so many seconds and one run at least; NaN where there is none. */
async function secondsOfRun(work: Work | undefined, clock: () => number, seconds: number): Promise<number> {
  if (!work) return NaN;
  const began = clock();
  let runs = 0;
  do {
    await work.run();
    runs++;
  } while (clock() - began < seconds);
  return (clock() - began) / runs;
}

/** How much longer a takes than b: the median over the turns, in each of which they ran one soon after the other. */
export function ratio(a: readonly number[], b: readonly number[]): number {
  return median(a.map((seconds, turn) => seconds / b[turn]!));
}
