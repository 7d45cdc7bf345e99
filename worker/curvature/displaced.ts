import type { Network } from '../../protocol/model.js';
import type { Device } from '../engines/operations.js';
import { bindNetwork } from './network.js';
import type { BoundNetwork } from './network.js';
import { split } from './vectors.js';

/** θ + r·v, rounded once. */
export function displaced(parameters: Float32Array, v: Float32Array, step: number): Float32Array {
  return parameters.map((parameter, i) => parameter + step * v[i]!);
}

/** For each of the K rows v of `vectors` (K × p): what `evaluate` makes of the network at θ + r·v and at θ − r·v. */
export async function* atBothEnds<T, R>(
  device: Device<T>,
  network: Network,
  parameters: Float32Array,
  vectors: Float32Array,
  count: number,
  step: number,
  evaluate: (bound: BoundNetwork<T>) => R | Promise<R>,
): AsyncGenerator<{ ahead: R; behind: R }> {
  const at = async (v: Float32Array, r: number) => {
    const bound = bindNetwork(device, network, displaced(parameters, v, r));
    try {
      return await evaluate(bound);
    } finally {
      device.dispose(bound.held);
    }
  };
  for (const v of split(vectors, count)) yield { ahead: await at(v, step), behind: await at(v, -step) };
}

/** K × p: for each of the vectors, what `along` makes of what `evaluate` gave at both ends. */
export async function alongEach<T, R>(
  device: Device<T>,
  network: Network,
  parameters: Float32Array,
  vectors: Float32Array,
  count: number,
  step: number,
  evaluate: (bound: BoundNetwork<T>) => R | Promise<R>,
  along: (ahead: R, behind: R) => Float32Array | Promise<Float32Array>,
): Promise<Float32Array> {
  const values = new Float32Array(count * parameters.length);
  let offset = 0;
  const ends = atBothEnds(device, network, parameters, vectors, count, step, evaluate);
  for await (const { ahead, behind } of ends) {
    values.set(await along(ahead, behind), offset);
    offset += parameters.length;
  }
  return values;
}
