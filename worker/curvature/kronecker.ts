import type { KroneckerBlock } from '../../protocol/kronecker.js';
import { kroneckerWidth } from '../../protocol/kronecker.js';
import type { RandomGenerator } from '../../protocol/random.js';
import type { Device } from '../engines/operations.js';
import { rowsOf, uploadBatch } from './batch.js';
import type { Batch } from './batch.js';
import { forward } from './graph.js';
import type { Graph } from './graph.js';
import { matrixShape } from './layer.js';
import { evaluateLoss } from './losses.js';
import type { BoundNetwork } from './network.js';
import { sampledLabels } from './sampled-labels.js';
import { cutColumns } from './slabs.js';

/** Copies of the patches that a pass makes: as they are cut, with ones, weighted, transposed. */
const copies = 4;

/**
 * Σ w·Σₜ āₜ·āₜᵀ and Σ w·Σₜ δₜ·δₜᵀ/T over the rows of a batch for each block, one after the other: āₜ what the kernel multiplies at
 * position t of T, with a 1 for the bias, δₜ the derivative of the loss in the output there, for labels drawn from the model.
 * With T = 1 that is K-FAC (Martens & Grosse 2015); with more, KFC (Grosse & Martens 2016), which takes derivatives at
 * different positions as uncorrelated, and all positions as alike. Two forward passes and one backward pass, in slabs of
 * rows whose patches take no more than `workBytes`; keeps nothing on the device.
 */
export async function kroneckerSums<T>(
  device: Device<T>,
  bound: BoundNetwork<T>,
  batch: Batch,
  blocks: readonly KroneckerBlock[],
  random: RandomGenerator,
  workBytes: number,
): Promise<Float64Array> {
  const values = blocks.reduce((sum, { rows, units, positions }) => sum + positions * (rows + units), 0);
  const atOnce = Math.max(1, Math.floor(workBytes / (4 * copies * values)));
  const sums = new Float64Array(kroneckerWidth(blocks));
  for (const { from, to } of cutColumns(batch.rows, atOnce)) {
    const rows = Int32Array.from({ length: to - from }, (_, i) => from + i);
    const slab = rows.length === batch.rows ? batch : rowsOf(batch, rows);
    await addSums(device, bound, slab, blocks, random, sums);
  }
  return sums;
}

async function addSums<T>(
  device: Device<T>,
  bound: BoundNetwork<T>,
  batch: Batch,
  blocks: readonly KroneckerBlock[],
  random: RandomGenerator,
  sums: Float64Array,
): Promise<void> {
  const { network } = bound;
  const predicted = device.tidy(
    () => forward(device, bound.graph, uploadBatch(device, network, batch).features).output,
    (output) => [output],
  );
  const [, width] = matrixShape(device, predicted);
  const labels = sampledLabels(network, await device.download(predicted), width, random);
  device.dispose([predicted]);
  // δ comes with its weight, and is to come with the weight's root.
  const roots = batch.weights && Float32Array.from(batch.weights, Math.sqrt);

  const products = device.tidy(
    () => {
      const { features } = uploadBatch(device, network, batch);
      const { graph, seen } = recorded(bound.graph);
      const pass = forward(device, graph, features);
      const weights = roots && device.upload(roots, [batch.rows, 1]);
      const drawn = device.upload(labels, [batch.rows, width]);
      pass.backward(evaluateLoss(device, network, pass.output, drawn, weights).gradient);
      return blocks.flatMap(({ name, rows, units, bias, positions }) => {
        const { patches, delta } = seen.get(name)!;
        const count = batch.rows * positions;
        const padded = bias ? device.concat([patches, device.fill([count, 1], 1)], 1) : patches;
        const weighted =
          weights === undefined
            ? padded
            : device.mul(device.reshape(padded, [batch.rows, positions * rows]), weights);
        return [
          square(device, device.reshape(weighted, [count, rows])),
          device.scale(square(device, device.reshape(delta, [count, units])), 1 / positions),
        ];
      });
    },
    (found) => found,
  );
  let at = 0;
  for (const product of products) for (const value of await device.download(product)) sums[at++]! += value;
  device.dispose(products);
}

/** Mᵀ·M */
function square<T>(device: Device<T>, matrix: T): T {
  return device.matmul(device.transpose(matrix, [1, 0]), matrix);
}

/** The graph, and what each layer with a kernel has met in it: what the kernel multiplied and its output's delta. */
function recorded<T>(graph: Graph<T>): { graph: Graph<T>; seen: Map<string, { patches: T; delta: T }> } {
  const seen = new Map<string, { patches: T; delta: T }>();
  const watched = graph.map((node) => {
    const { layer } = node;
    const { patches } = layer;
    if (patches === undefined) return node;
    const forward: typeof layer.forward = (inputs) => {
      const pass = layer.forward(inputs);
      return {
        output: pass.output,
        backward(delta) {
          seen.set(layer.name, { patches: patches(inputs[0]!), delta });
          return pass.backward(delta);
        },
      };
    };
    return { ...node, layer: { ...layer, forward } };
  });
  return { graph: watched, seen };
}
