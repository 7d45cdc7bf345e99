import type { TreeSum } from '../../protocol/reduction.js';
import type { Sums } from '../thread-messages.js';

/** What a tree holds, as one array: its nodes' sums one after the other. */
export function nodeSums(sum: TreeSum): Sums {
  const held = sum.nodes();
  const nodes = held.map(({ node }) => node);
  if (held.length === 1) return { nodes, values: held[0]!.sums };
  const values = new Float64Array(held.reduce((length, { sums }) => length + sums.length, 0));
  let offset = 0;
  for (const { sums } of held) {
    values.set(sums, offset);
    offset += sums.length;
  }
  return { nodes, values };
}
