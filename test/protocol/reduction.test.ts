import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BadRequestError, IhvpError, ShapeMismatchError } from '../../protocol/errors.js';
import type { LeafRange } from '../../protocol/reduction.js';
import { leavesOf, nodesOf, TreeSum } from '../../protocol/reduction.js';

const width = 3;

/** The definition, top down: split at the largest power of two below the length. */
function recursiveSum(leaves: Float64Array[], start: number, end: number): number[] {
  if (end - start === 1) return [...leaves[start]!];
  let half = 1;
  while (half * 2 < end - start) half *= 2;
  const left = recursiveSum(leaves, start, start + half);
  const right = recursiveSum(leaves, start + half, end);
  return left.map((value, i) => value + right[i]!);
}

/** Leaves whose sum depends on the order of addition, a cut of them into ranges, and an order of arrival. */
const leafSum = fc.double({ min: -1e9, max: 1e9, noNaN: true }).map((x) => x * 0.1);
const problem = fc
  .array(fc.array(leafSum, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 40 })
  .chain((leaves) =>
    fc.record({
      leaves: fc.constant(leaves.map((leaf) => Float64Array.from(leaf))),
      cuts: fc.array(fc.nat(leaves.length), { maxLength: 8 }),
      order: fc.infiniteStream(fc.nat()),
    }),
  );

function rangesOf(cuts: number[], leaves: number): LeafRange[] {
  const edges = [...new Set([0, ...cuts, leaves])].sort((a, b) => a - b);
  return edges.slice(1).map((end, i) => ({ start: edges[i]!, end }));
}

const shuffled = <T>(items: T[], order: Iterator<number>) =>
  items
    .map((item) => ({ item, key: Number(order.next().value) }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);

describe('TreeSum', () => {
  it('TreeSum: any partition among workers and any order of arrival give the bits of the recursive sum', () => {
    fc.assert(
      fc.property(problem, ({ leaves, cuts, order }) => {
        const n = leaves.length;
        const sent = rangesOf(cuts, n).flatMap(({ start, end }) => {
          const worker = new TreeSum(n);
          const own = shuffled(
            Array.from({ length: end - start }, (_, i) => start + i),
            order,
          );
          for (const leaf of own) worker.add({ level: 0, index: leaf }, leaves[leaf]!.slice());
          expect(worker.nodes().map(({ node }) => node)).toEqual(nodesOf({ start, end }, n));
          return worker.nodes();
        });
        const coordinator = new TreeSum(n);
        for (const { node, sums } of shuffled(sent, order)) expect(coordinator.add(node, sums)).toBe(true);
        expect(coordinator.complete).toBe(true);
        expect([...coordinator.total()]).toEqual(recursiveSum(leaves, 0, n));
      }),
    );
  });

  it('TreeSum: retries and overlapping nodes, in any order, change no bit', () => {
    fc.assert(
      fc.property(problem, fc.array(fc.nat(39), { maxLength: 8 }), ({ leaves, cuts, order }, otherCuts) => {
        const n = leaves.length;
        const sums = (range: LeafRange) => Float64Array.from(recursiveSum(leaves, range.start, range.end));
        const others = otherCuts.map((cut) => Math.min(cut, n));
        const nodes = [...rangesOf(cuts, n), ...rangesOf(others, n)].flatMap((range) => nodesOf(range, n));
        const tree = new TreeSum(n);
        for (const node of shuffled([...nodes, ...nodes], order)) tree.add(node, sums(leavesOf(node, n)));
        expect([...tree.total()]).toEqual(recursiveSum(leaves, 0, n));
        expect(tree.nodes()).toHaveLength(1);
      }),
    );
  });

  it('TreeSum: missing names exactly the leaves not yet there', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.array(fc.nat(59)), (n, added) => {
        const there = new Set(added.map((leaf) => leaf % n));
        const tree = new TreeSum(n);
        for (const leaf of there) tree.add({ level: 0, index: leaf }, new Float64Array(1));
        const missing = tree.missing().flatMap(({ start, end }) => {
          expect(end).toBeGreaterThan(start);
          return Array.from({ length: end - start }, (_, i) => start + i);
        });
        expect(missing).toEqual(Array.from({ length: n }, (_, i) => i).filter((leaf) => !there.has(leaf)));
        expect(tree.complete).toBe(there.size === n);
      }),
    );
  });

  it('TreeSum: float32 leaves are added in float64', () => {
    const tree = new TreeSum(3);
    for (const [index, value] of [2 ** 24, 1, 0.5].entries())
      tree.add({ level: 0, index }, Float32Array.of(value));
    expect([...tree.total()]).toEqual([2 ** 24 + 1.5]);
  });

  it('TreeSum: a covered node is ignored, a covering node replaces, neither is added twice', () => {
    const tree = new TreeSum(4);
    expect(tree.add({ level: 0, index: 0 }, Float64Array.of(1))).toBe(true);
    expect(tree.add({ level: 0, index: 0 }, Float64Array.of(1))).toBe(false);
    expect(tree.add({ level: 1, index: 0 }, Float64Array.of(3))).toBe(true);
    expect(tree.add({ level: 0, index: 1 }, Float64Array.of(2))).toBe(false);
    expect(tree.missing()).toEqual([{ start: 2, end: 4 }]);
    expect(() => tree.total()).toThrow(IhvpError);
    expect(tree.add({ level: 2, index: 0 }, Float64Array.of(10))).toBe(true);
    expect([...tree.total()]).toEqual([10]);
  });

  it('TreeSum: a node that the tree does not have, and sums of another length, are refused', () => {
    const tree = new TreeSum(5);
    tree.add({ level: 0, index: 4 }, new Float64Array(2));
    expect(tree.nodes().map(({ node }) => node)).toEqual([{ level: 2, index: 1 }]);
    for (const node of [
      { level: 0, index: 5 },
      { level: 4, index: 0 },
      { level: 0.5, index: 0 },
      { level: 0, index: -1 },
    ])
      expect(() => tree.add(node, new Float64Array(2))).toThrow(BadRequestError);
    expect(() => tree.add({ level: 0, index: 0 }, new Float64Array(3))).toThrow(ShapeMismatchError);
    expect(() => new TreeSum(0)).toThrow(BadRequestError);
  });
});

describe('nodesOf', () => {
  it('nodesOf: covers the range exactly, in order, and no two neighbours could be one node', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(300), fc.nat(300), (n, a, b) => {
        const [start, end] = [Math.min(a, b, n), Math.min(Math.max(a, b), n)];
        const nodes = nodesOf({ start, end }, n);
        let next = start;
        for (const node of nodes) {
          const covered = leavesOf(node, n);
          expect(covered.start).toBe(next);
          next = covered.end;
        }
        expect(next).toBe(Math.max(start, end));
        for (const [i, node] of nodes.slice(1).entries())
          expect(nodes[i]!.level === node.level && nodes[i]!.index % 2 === 0).toBe(false);
        expect(nodes.length).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(n + 1)));
      }),
    );
  });

  it('nodesOf: examples by hand', () => {
    expect(nodesOf({ start: 3, end: 11 }, 16)).toEqual([
      { level: 0, index: 3 },
      { level: 2, index: 1 },
      { level: 1, index: 4 },
      { level: 0, index: 10 },
    ]);
    expect(nodesOf({ start: 0, end: 5 }, 5)).toEqual([{ level: 3, index: 0 }]);
    expect(nodesOf({ start: 2, end: 2 }, 5)).toEqual([]);
    expect(() => nodesOf({ start: 2, end: 6 }, 5)).toThrow(BadRequestError);
  });
});
