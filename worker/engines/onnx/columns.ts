/**
 * Column indices as the copies that they are made of. Written as places of a cube (groups × taps × blocks of
 * neighbouring columns), each value `repeats` times:
 *
 *   column ((g·block + c)·taps + t)·repeats + r of the target is column blocks[g·taps + t]·block + c of the source.
 *
 * So windows, pooling, padding and upsampling move whole blocks (the channels of a pixel) instead of single values.
 */
export interface ColumnPlan {
  repeats: number;
  taps: number;
  block: number;
  /** −1 for a block of zeros. */
  blocks: Int32Array;
  /** Whether some of them are −1. */
  zeros: boolean;
}

/** A layer makes its indices once and asks with the same array for every product: the plan lives as long as it. */
const plans = new WeakMap<Int32Array, { columns: number; plan: ColumnPlan }>();

/** The plan of gathering, from a matrix with `columns`, column `indices[j]` as column j, zeros for −1. */
export function planColumns(indices: Int32Array, columns: number): ColumnPlan {
  const known = plans.get(indices);
  if (known?.columns === columns) return known.plan;
  const plan = makePlan(indices, columns);
  plans.set(indices, { columns, plan });
  return plan;
}

function makePlan(indices: Int32Array, columns: number): ColumnPlan {
  const repeats = divisorsOf(indices.length).find((times) => isRepeated(indices, times))!;
  const values = every(indices, repeats);
  const taps = spacing(values);
  for (const block of divisorsOf(greatestCommonDivisor(columns, values.length / taps))) {
    const blocks = blocksOf(values, taps, block);
    if (blocks) return { repeats, taps, block, blocks, zeros: blocks.includes(-1) };
  }
  return { repeats, taps: 1, block: 1, blocks: values, zeros: values.includes(-1) };
}

/** How far the place is, after the first that is no padding, where the column after it goes. */
function spacing(values: Int32Array): number {
  const first = values.findIndex((value) => value >= 0);
  const next = values.indexOf(values[first]! + 1, first + 1);
  const taps = next - first;
  return first >= 0 && next > first && values.length % taps === 0 ? taps : 1;
}

/** The blocks, if all groups of block·taps values are made of such. */
function blocksOf(values: Int32Array, taps: number, block: number): Int32Array | undefined {
  const blocks = new Int32Array(values.length / block);
  for (let group = 0; group < blocks.length / taps; group++)
    for (let tap = 0; tap < taps; tap++) {
      const from = values[group * block * taps + tap]!;
      if (from >= 0 && from % block !== 0) return undefined;
      for (let c = 1; c < block; c++)
        if (values[(group * block + c) * taps + tap] !== (from < 0 ? -1 : from + c)) return undefined;
      blocks[group * taps + tap] = from < 0 ? -1 : from / block;
    }
  return blocks;
}

const isRepeated = (values: Int32Array, times: number) =>
  values.every((value, place) => value === values[place - (place % times)]);

const every = (values: Int32Array, times: number) =>
  times === 1 ? values : Int32Array.from({ length: values.length / times }, (_, i) => values[i * times]!);

/** Largest first. */
function divisorsOf(length: number): number[] {
  const small: number[] = [];
  for (let divisor = 1; divisor * divisor <= length; divisor++)
    if (length % divisor === 0) small.push(divisor);
  return [...new Set([...small.map((divisor) => length / divisor), ...small.reverse()])];
}

const greatestCommonDivisor = (a: number, b: number): number =>
  b === 0 ? a : greatestCommonDivisor(b, a % b);

export interface BlockSources {
  /** `depth` source blocks for each target, in the order in which they are added, then −1. */
  table: Int32Array;
  depth: number;
  zeros: boolean;
}

const sources = new WeakMap<Int32Array, BlockSources>();

/** What is added to each of `targets` blocks of a plan: source block j to block `blocks[j]`, −1 to none. */
export function sourcesOfBlocks(blocks: Int32Array, targets: number): BlockSources {
  const known = sources.get(blocks);
  if (known) return known;
  const counts = new Int32Array(targets);
  for (const to of blocks) if (to >= 0) counts[to]!++;
  const depth = counts.reduce((most, count) => Math.max(most, count), 1);
  const table = new Int32Array(targets * depth).fill(-1);
  counts.fill(0);
  for (const [from, to] of blocks.entries()) if (to >= 0) table[to * depth + counts[to]!++] = from;
  const made = { table, depth, zeros: table.includes(-1) };
  sources.set(blocks, made);
  return made;
}

const padded = new WeakMap<Int32Array, Int32Array>();

/** The same blocks with −1 as `count`: a block of zeros after those that there are. */
export function zerosAt(blocks: Int32Array, count: number): Int32Array {
  const known = padded.get(blocks);
  if (known) return known;
  const made = blocks.map((index) => (index < 0 ? count : index));
  padded.set(blocks, made);
  return made;
}
