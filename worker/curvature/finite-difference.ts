import type { Network } from '../../protocol/model.js';
import type { Device } from '../engines/operations.js';
import type { Batch } from './batch.js';
import { alongEach } from './displaced.js';
import { evaluate } from './linearization.js';
import type { BoundNetwork } from './network.js';

/**
 * Σ over the rows of ∇²ℓ times each of the K rows of `vectors` (K × p), by central differences of the gradient sum:
 * (g(θ + r·v) − g(θ − r·v)) / 2r. The gradients are float32; they are subtracted and divided in float64.
 */
export async function finiteDifference<T>(
  device: Device<T>,
  network: Network,
  parameters: Float32Array,
  batch: Batch,
  vectors: Float32Array,
  count: number,
  step: number,
): Promise<Float32Array> {
  const gradientAt = async (bound: BoundNetwork<T>) => (await evaluate(device, bound, batch)).gradient;
  const difference = (ahead: Float32Array, behind: Float32Array) =>
    ahead.map((value, i) => (value - behind[i]!) / (2 * step));
  return alongEach(device, network, parameters, vectors, count, step, gradientAt, difference);
}
