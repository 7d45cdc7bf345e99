import type { LeafRange } from '../protocol/reduction.js';

export interface Assignee {
  id: string;
  threads: number;
}

/**
 * Shares leaves among workers in proportion to their threads: every worker gets a contiguous run (of the given ranges,
 * in order), so that it can pre-sum large subtrees. Cuts fall on multiples of a power of two where the balance allows
 * it, at most a 32nd of one thread's share off, so that few tree nodes cross the wire. The answer never depends on it.
 */
export function assign(ranges: readonly LeafRange[], workers: readonly Assignee[]): Map<string, LeafRange[]> {
  const total = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  const threads = workers.reduce((sum, worker) => sum + worker.threads, 0);
  const grain = 2 ** Math.max(0, Math.floor(Math.log2(total / threads / 16)));
  const assigned = new Map<string, LeafRange[]>();
  let before = 0;
  let cut = 0;
  for (const [index, { id, threads: own }] of workers.entries()) {
    before += own;
    const ideal = (total * before) / threads;
    const next = index === workers.length - 1 ? total : Math.min(total, Math.round(ideal / grain) * grain);
    if (next > cut) assigned.set(id, slice(ranges, cut, next));
    cut = Math.max(cut, next);
  }
  return assigned;
}

/** Positions [from, to) of the concatenated ranges. */
export function slice(ranges: readonly LeafRange[], from: number, to: number): LeafRange[] {
  const parts: LeafRange[] = [];
  let position = 0;
  for (const { start, end } of ranges) {
    const first = Math.max(start, start + from - position);
    const last = Math.min(end, start + to - position);
    if (first < last) parts.push({ start: first, end: last });
    position += end - start;
  }
  return parts;
}
