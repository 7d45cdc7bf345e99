import type { Network } from '../../protocol/model.js';
import type { Device } from '../engines/operations.js';
import type { Batch } from './batch.js';
import { evaluate } from './linearization.js';
import { bindNetwork } from './network.js';

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
  const size = parameters.length;
  const products = new Float32Array(count * size);
  for (let k = 0; k < count; k++) {
    const v = vectors.subarray(k * size, (k + 1) * size);
    const ahead = await gradientAt(device, network, displaced(parameters, v, step), batch);
    const behind = await gradientAt(device, network, displaced(parameters, v, -step), batch);
    for (let i = 0; i < size; i++) products[k * size + i] = (ahead[i]! - behind[i]!) / (2 * step);
  }
  return products;
}

/** θ + r·v, rounded once. */
export function displaced(parameters: Float32Array, v: Float32Array, step: number): Float32Array {
  return parameters.map((parameter, i) => parameter + step * v[i]!);
}

async function gradientAt<T>(
  device: Device<T>,
  network: Network,
  parameters: Float32Array,
  batch: Batch,
): Promise<Float32Array> {
  const bound = bindNetwork(device, network, parameters);
  try {
    return (await evaluate(device, bound, batch)).gradient;
  } finally {
    device.dispose(bound.held);
  }
}
