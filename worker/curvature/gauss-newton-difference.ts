import type { Network } from '../../protocol/model.js';
import type { Device } from '../engines/operations.js';
import { uploadBatch } from './batch.js';
import type { Batch } from './batch.js';
import { downloadBlock } from './block.js';
import { alongEach } from './displaced.js';
import { forward } from './graph.js';
import { evaluateLoss } from './losses.js';
import { bindNetwork } from './network.js';
import type { BoundNetwork } from './network.js';

/**
 * Σ over the rows of Jᵀ·H_L·J times each of the K rows of `vectors` (K × p), by differences: with u = (f(θ + r·v) −
 * f(θ − r·v))/2 for the outputs f, Jᵀ·(∇ℓ(f + u) − ∇ℓ(f − u))/2r. Jᵀ is the gradient's own backward pass; no tangent
 * map and no Hessian of the loss is used.
 */
export async function gaussNewtonDifference<T>(
  device: Device<T>,
  network: Network,
  parameters: Float32Array,
  batch: Batch,
  vectors: Float32Array,
  count: number,
  step: number,
): Promise<Float32Array> {
  const bound = bindNetwork(device, network, parameters);
  const outputsAt = (moved: BoundNetwork<T>) =>
    device.tidy(
      () => forward(device, moved.graph, uploadBatch(device, network, batch).features).output,
      (outputs) => [outputs],
    );
  const product = async (ahead: T, behind: T) => {
    const slices = device.tidy(
      () => alongOne(device, bound, ahead, behind, batch, step),
      (tensors) => tensors,
    );
    const values = await downloadBlock(device, bound.layout, { count: 1, slices });
    device.dispose([ahead, behind, ...slices]);
    return values;
  };
  const products = await alongEach(device, network, parameters, vectors, count, step, outputsAt, product);
  device.dispose(bound.held);
  return products;
}

/** `ahead` and `behind` are the outputs f at both ends. */
function alongOne<T>(
  device: Device<T>,
  bound: BoundNetwork<T>,
  ahead: T,
  behind: T,
  batch: Batch,
  step: number,
): readonly T[] {
  const { features, labels, weights } = uploadBatch(device, bound.network, batch);
  const pass = forward(device, bound.graph, features);
  const outputs = pass.output;
  const half = device.scale(device.sub(ahead, behind), 0.5);
  const gradientAt = (at: T) => evaluateLoss(device, bound.network, at, labels, weights).gradient;
  const difference = device.sub(gradientAt(device.add(outputs, half)), gradientAt(device.sub(outputs, half)));
  return pass.backward(device.scale(difference, 1 / (2 * step))).flatMap((layer) => layer?.slices ?? []);
}
