import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { assign, slice } from '../../coordinator/assignment.js';
import { nodesOf, type LeafRange } from '../../protocol/reduction.js';

const leavesOf = (ranges: readonly LeafRange[]) =>
  ranges.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i));

/** Disjoint ranges in order, as TreeSum.missing gives them. */
const missing = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 200 })), {
    minLength: 1,
    maxLength: 8,
  })
  .map((steps) => {
    let at = 0;
    return steps.map(([gap, length]) => ({ start: (at += gap), end: (at += length) }));
  });
const workers = fc
  .array(fc.integer({ min: 1, max: 16 }), { minLength: 1, maxLength: 12 })
  .map((threads) => threads.map((own, i) => ({ id: `w${i}`, threads: own })));

describe('assign', () => {
  it('gives every leaf to one worker, in order and contiguous in the given ranges', () => {
    fc.assert(
      fc.property(missing, workers, (ranges, farm) => {
        const assigned = assign(ranges, farm);
        // Insertion order is the workers' order, so concatenation must give the leaves back as they are.
        expect([...assigned.values()].flatMap(leavesOf)).toEqual(leavesOf(ranges));
        expect([...assigned.keys()]).toEqual(farm.map(({ id }) => id).filter((id) => assigned.has(id)));
        for (const own of assigned.values()) expect(leavesOf(own).length).toBeGreaterThan(0);
      }),
    );
  });

  it("balances: no cut is further from the workers' shares by threads than a 32nd of a thread's share", () => {
    fc.assert(
      fc.property(missing, workers, (ranges, farm) => {
        const assigned = assign(ranges, farm);
        const total = leavesOf(ranges).length;
        const threads = farm.reduce((sum, worker) => sum + worker.threads, 0);
        let [cut, ideal] = [0, 0];
        for (const worker of farm) {
          cut += leavesOf(assigned.get(worker.id) ?? []).length;
          ideal += (total * worker.threads) / threads;
          // Half a leaf is the rounding of a cut to a whole leaf.
          expect(Math.abs(cut - ideal)).toBeLessThanOrEqual(Math.max(0.5, total / threads / 32) + 1e-9);
        }
      }),
    );
  });

  it('cuts so that few tree nodes cross the wire: 1024 leaves among 3 equal workers', () => {
    const assigned = assign(
      [{ start: 0, end: 1024 }],
      ['a', 'b', 'c'].map((id) => ({ id, threads: 1 })),
    );
    const nodes = [...assigned.values()].flat().flatMap((range) => nodesOf(range, 1024));
    // Cuts at multiples of 64: each adds at most one node for each of the 4 levels between 64 and 1024, on both sides.
    expect(nodes.length).toBeLessThanOrEqual(2 * 2 * 4);
  });

  it('gives nothing where nothing is missing', () => {
    expect(assign([], [{ id: 'a', threads: 2 }]).size).toBe(0);
  });
});

describe('slice', () => {
  it('positions of the concatenation', () => {
    fc.assert(
      fc.property(missing, fc.nat(400), fc.nat(400), (ranges, a, b) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        expect(leavesOf(slice(ranges, from, to))).toEqual(leavesOf(ranges).slice(from, to));
      }),
    );
  });
});
