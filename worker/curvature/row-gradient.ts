import type { Device } from '../engines/operations.js';
import { rowsOf } from './batch.js';
import type { Batch } from './batch.js';
import { evaluate } from './linearization.js';
import type { BoundNetwork } from './network.js';

/** ∇ℓ of one row of the batch: p values. */
export async function rowGradient<T>(
  device: Device<T>,
  bound: BoundNetwork<T>,
  batch: Batch,
  row: number,
): Promise<Float32Array> {
  const { gradient } = await evaluate(device, bound, rowsOf(batch, Int32Array.of(row)));
  return gradient;
}
