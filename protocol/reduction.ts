import { BadRequestError, IhvpError, ShapeMismatchError } from './errors.js';

/**
 * The canonical reduction tree. A dataset's leaves 0…n−1 are summed by a binary tree that depends on n only: node
 * (level l, index i) covers the leaves [i·2^l, min(n, (i+1)·2^l)), and its sum is the float64 sum left + right of its
 * two children (left alone where the right one is empty). So the bits of the total do not depend on who summed which
 * leaves, nor on the order of arrival. Sums are over rows; whoever wants a mean divides the total by the rows, once.
 */
export interface TreeNode {
  level: number;
  index: number;
}

/** The leaves start…end−1. */
export interface LeafRange {
  start: number;
  end: number;
}

export interface NodeSum {
  node: TreeNode;
  sums: Float64Array;
}

/** The leaves that a node covers in a tree of `leaves` leaves. */
export function leavesOf(node: TreeNode, leaves: number): LeafRange {
  const width = 2 ** node.level;
  return { start: node.index * width, end: Math.min(leaves, (node.index + 1) * width) };
}

/**
 * The fewest nodes that cover a contiguous range exactly, in order: what a worker that owns `range` sends.
 * A run that ends at the last leaf is named by the highest node that covers it.
 */
export function nodesOf(range: LeafRange, leaves: number): TreeNode[] {
  checkCount(leaves);
  if (!(
    wholeNumber(range.start) &&
    wholeNumber(range.end) &&
    range.start <= range.end &&
    range.end <= leaves
  ))
    throw new BadRequestError(`leaves ${range.start}…${range.end} do not lie within 0…${leaves}`);
  const height = heightOf(leaves);
  const nodes: TreeNode[] = [];
  for (let start = range.start; start < range.end;) {
    let level = 0;
    const fits = (width: number) => start % width === 0 && Math.min(leaves, start + width) <= range.end;
    while (level < height && fits(2 ** (level + 1))) level += 1;
    nodes.push({ level, index: start / 2 ** level });
    start += 2 ** level;
  }
  return nodes;
}

/**
 * Sums of the nodes that have arrived, merged upwards as soon as two siblings are there.
 *
 * Two nodes are either disjoint or nested. Of nested ones the larger counts: a node inside one already held is
 * ignored (a retry changes nothing), a node that contains held ones replaces them. Within one engine and version the
 * result is the same bits either way.
 */
export class TreeSum {
  readonly leaves: number;
  readonly #height: number;
  /** Held nodes are disjoint, so the first leaf names one. */
  readonly #held = new Map<number, { level: number; sums: Float64Array }>();
  /** Of sums that were widened here, the arrays added into another: the next takes one, as new ones would keep the collector busy. */
  readonly #spare: Float64Array[] = [];
  #length: number | undefined;

  constructor(leaves: number) {
    checkCount(leaves);
    this.leaves = leaves;
    this.#height = heightOf(leaves);
  }

  /**
   * Adds the sum of one node; float32 sums are widened. A `Float64Array` belongs to the tree from now on and may be
   * overwritten. Returns false where the node was covered already.
   * @throws BadRequestError if there is no such node; ShapeMismatchError if the length is not that of the others.
   */
  add(node: TreeNode, sums: Float64Array | Float32Array): boolean {
    let { level } = node;
    const range = leavesOf(node, this.leaves);
    const { start } = range;
    if (!wholeNumber(level) || level > this.#height || !wholeNumber(node.index) || start >= this.leaves)
      throw new BadRequestError(
        `a tree of ${this.leaves} leaves has no node (level ${level}, index ${node.index})`,
      );
    this.#length ??= sums.length;
    if (sums.length !== this.#length)
      throw new ShapeMismatchError(
        `the node of leaves ${start}…${range.end - 1} has ${sums.length} sums, the others ${this.#length}`,
      );
    if (this.#covers(start, level)) return false;
    for (let leaf = start; leaf < range.end; leaf += 1) this.#held.delete(leaf);

    let merged = sums;
    let first = start;
    for (; level < this.#height; level += 1) {
      const width = 2 ** level;
      const isLeft = first % (2 * width) === 0;
      const siblingStart = isLeft ? first + width : first - width;
      if (siblingStart < this.leaves) {
        const sibling = this.#held.get(siblingStart);
        if (sibling?.level !== level) break;
        this.#held.delete(siblingStart);
        const summed = addInto(sibling.sums, merged);
        if (sums instanceof Float32Array && merged instanceof Float64Array) this.#spare.push(merged);
        merged = summed;
      }
      first = Math.min(first, siblingStart);
    }
    this.#held.set(first, { level, sums: merged instanceof Float64Array ? merged : this.#widened(merged) });
    return true;
  }

  get complete(): boolean {
    return this.#held.get(0)?.level === this.#height;
  }

  /** The sum over all leaves. @throws IhvpError while leaves are missing. */
  total(): Float64Array {
    const root = this.#held.get(0);
    if (root?.level !== this.#height)
      throw new IhvpError('the sum was asked for before all leaves had arrived', {
        details: { missing: this.missing() },
      });
    return root.sums;
  }

  /** Ranges of leaves not covered yet, in order, adjacent ones joined. */
  missing(): LeafRange[] {
    const gaps: LeafRange[] = [];
    let next = 0;
    for (const { node } of this.nodes()) {
      const { start, end } = leavesOf(node, this.leaves);
      if (start > next) gaps.push({ start: next, end: start });
      next = end;
    }
    if (next < this.leaves) gaps.push({ start: next, end: this.leaves });
    return gaps;
  }

  /** The largest complete nodes held, in order of leaves; the arrays still belong to the tree. */
  nodes(): NodeSum[] {
    return [...this.#held]
      .sort(([a], [b]) => a - b)
      .map(([start, { level, sums }]) => ({ node: { level, index: start / 2 ** level }, sums }));
  }

  #widened(sums: Float32Array): Float64Array {
    const wide = this.#spare.pop();
    if (!wide) return new Float64Array(sums);
    wide.set(sums);
    return wide;
  }

  #covers(start: number, level: number): boolean {
    for (let above = level; above <= this.#height; above += 1) {
      const held = this.#held.get(start - (start % 2 ** above));
      if (held && held.level >= above) return true;
    }
    return false;
  }
}

/** IEEE addition commutes bit for bit, so the sum may be written over whichever side is ours. */
function addInto(target: Float64Array, other: Float64Array | Float32Array): Float64Array {
  for (let i = 0; i < target.length; i += 1) target[i]! += other[i]!;
  return target;
}

const wholeNumber = (value: number) => Number.isSafeInteger(value) && value >= 0;

/** Levels above the leaves: the least h with 2^h ≥ leaves. */
function heightOf(leaves: number): number {
  let height = 0;
  while (2 ** height < leaves) height += 1;
  return height;
}

function checkCount(leaves: number): void {
  if (!wholeNumber(leaves) || leaves === 0)
    throw new BadRequestError(`a reduction tree has at least one leaf, not ${leaves}`);
}
