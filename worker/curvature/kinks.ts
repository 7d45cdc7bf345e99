import type { Network } from '../../protocol/model.js';
import type { Device } from '../engines/operations.js';
import type { Batch } from './batch.js';
import { atBothEnds } from './displaced.js';
import { linearize } from './linearization.js';
import type { BoundNetwork } from './network.js';

/**
 * The rows whose loss is smooth between θ − r·v and θ + r·v for each of the K rows v of `vectors`: no piecewise
 * constant factor of them differs between the two ends.
 */
export async function rowsWithoutKink<T>(
  device: Device<T>,
  network: Network,
  parameters: Float32Array,
  batch: Batch,
  vectors: Float32Array,
  count: number,
  step: number,
): Promise<Int32Array> {
  const smooth = new Set(Array.from({ length: batch.rows }, (_, row) => row));
  const pieces = (bound: BoundNetwork<T>) => piecesAt(device, bound, batch);
  for await (const { ahead, behind } of atBothEnds(device, network, parameters, vectors, count, step, pieces))
    for (const [index, piece] of ahead.entries()) {
      const width = piece.length / batch.rows;
      piece.forEach((value, i) => {
        if (value !== behind[index]![i]) smooth.delete(Math.floor(i / width));
      });
    }
  return Int32Array.from(smooth);
}

async function piecesAt<T>(device: Device<T>, bound: BoundNetwork<T>, batch: Batch): Promise<Float32Array[]> {
  const linearization = linearize(device, bound, batch);
  const pieces = [
    ...linearization.layers.flatMap((layer) => layer?.pieces ?? []),
    ...linearization.outputHessian.pieces,
  ];
  const values = await Promise.all(pieces.map((piece) => device.download(piece)));
  device.dispose(linearization.held);
  return values;
}
