import type { KroneckerBlock } from '../../protocol/kronecker.js';
import { kroneckerWidth } from '../../protocol/kronecker.js';
import type { RandomGenerator } from '../../protocol/random.js';
import type { Device } from '../engines/operations.js';
import { uploadBatch } from './batch.js';
import type { Batch } from './batch.js';
import { forward } from './graph.js';
import type { Graph } from './graph.js';
import { matrixShape } from './layer.js';
import { evaluateLoss } from './losses.js';
import type { BoundNetwork } from './network.js';
import { sampledLabels } from './sampled-labels.js';

/**
 * Σ w·ā·āᵀ and Σ w·δ·δᵀ over the rows of a batch for each block, one after the other: ā the layer's input with a 1 for the bias, δ the
 * derivative of the loss in its output, for labels drawn from the model (Martens & Grosse 2015). Two forward passes and one
 * backward pass; keeps nothing on the device.
 */
export async function kroneckerSums<T>(
  device: Device<T>,
  bound: BoundNetwork<T>,
  batch: Batch,
  blocks: readonly KroneckerBlock[],
  random: RandomGenerator,
): Promise<Float64Array> {
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
      return blocks.flatMap(({ name, bias }) => {
        const { input, delta } = seen.get(name)!;
        const ones = device.fill([batch.rows, 1], 1);
        const padded = bias ? device.concat([input, ones], 1) : input;
        const weighted = weights === undefined ? padded : device.mul(padded, weights);
        return [square(device, weighted), square(device, delta)];
      });
    },
    (found) => found,
  );
  const sums = new Float64Array(kroneckerWidth(blocks));
  let offset = 0;
  for (const product of products) {
    const values = await device.download(product);
    sums.set(values, offset);
    offset += values.length;
  }
  device.dispose(products);
  return sums;
}

/** Mᵀ·M */
function square<T>(device: Device<T>, matrix: T): T {
  return device.matmul(device.transpose(matrix, [1, 0]), matrix);
}

/** The graph, and what each layer with parameters has met in it: its input and its output's delta. */
function recorded<T>(graph: Graph<T>): { graph: Graph<T>; seen: Map<string, { input: T; delta: T }> } {
  const seen = new Map<string, { input: T; delta: T }>();
  const watched = graph.map((node) => {
    const { layer } = node;
    if (layer.sliceCount === 0) return node;
    const forward: typeof layer.forward = (inputs) => {
      const pass = layer.forward(inputs);
      return {
        output: pass.output,
        backward(delta) {
          seen.set(layer.name, { input: inputs[0]!, delta });
          return pass.backward(delta);
        },
      };
    };
    return { ...node, layer: { ...layer, forward } };
  });
  return { graph: watched, seen };
}
