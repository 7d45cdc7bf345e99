import { inputWidth, outputWidth, parameterLayout } from '../../protocol/model.js';
import type { Network } from '../../protocol/model.js';
import type { Curvature } from '../../protocol/requests.js';
import type { Device } from '../engines/operations.js';
import { linearize, multiply, prepareTangent, product } from './linearization.js';
import type { Linearization, Tangent } from './linearization.js';
import { bindNetwork } from './network.js';
import type { BoundNetwork } from './network.js';
import { Shapes } from './shapes.js';

/*
 * A block of K right-hand sides goes through the tangent pass in slabs of columns, so that what the pass makes on its
 * way is bounded. The slabs depend on the request, the model and the engine alone, as the bits of the answer must.
 */

/**
 * How many columns a tangent pass over so many rows may have, for the tensors that it makes to take no more than
 * `workBytes`; one at least.
 */
export function columnsAtOnce(
  network: Network,
  rows: number,
  curvature: Curvature,
  workBytes: number,
): number {
  const some = 64;
  // From the second column on: the first needs fewer transposes.
  const eachColumn = (of: number) =>
    tangentValues(network, of, curvature, 3) - tangentValues(network, of, curvature, 2);
  const [few, more] = [eachColumn(some), eachColumn(2 * some)];
  const bytes = 4 * (few + ((more - few) / some) * (rows - some));
  return Math.max(1, Math.floor(workBytes / bytes));
}

/** The values of all tensors that a tangent pass makes. */
function tangentValues(network: Network, rows: number, curvature: Curvature, count: number): number {
  const shapes = new Shapes();
  const outputs = network.loss === 'softmaxCrossEntropy' ? 1 : outputWidth(network);
  const bound = bindNetwork(shapes, network, new Float32Array(parameterLayout(network).count));
  const batch = {
    rows,
    features: new Float32Array(rows * inputWidth(network)),
    labels: new Int32Array(rows * outputs),
  };
  const linearization = linearize(shapes, bound, batch, curvature);
  const tangent = prepareTangent(shapes, bound, new Float32Array(count * bound.layout.count), count);
  const before = shapes.made;
  multiply(shapes, linearization, tangent);
  return shapes.made - before;
}

/** [0, count) in as few runs of at most `atOnce` as there can be, of sizes that differ by one at most. */
export function cutColumns(count: number, atOnce: number): { from: number; to: number }[] {
  const parts = Math.ceil(count / atOnce);
  return Array.from({ length: parts }, (_, i) => ({
    from: Math.floor((i * count) / parts),
    to: Math.floor(((i + 1) * count) / parts),
  }));
}

/** `prepareTangent` for each slab of V (K × p). */
export function prepareSlabs<T>(
  device: Device<T>,
  bound: BoundNetwork<T>,
  values: Float32Array,
  count: number,
  atOnce: number,
): Tangent<T>[] {
  const p = bound.layout.count;
  return cutColumns(count, atOnce).map(({ from, to }) =>
    prepareTangent(device, bound, values.subarray(from * p, to * p), to - from),
  );
}

/** `product` for each slab, as one: K × p values, in `scratch` if it is given or the device likes. */
export async function productOfSlabs<T>(
  device: Device<T>,
  linearization: Linearization<T>,
  slabs: readonly Tangent<T>[],
  scratch?: Float32Array,
): Promise<Float32Array> {
  if (slabs.length === 1) return product(device, linearization, slabs[0]!, scratch);
  const p = linearization.bound.layout.count;
  const values = scratch ?? new Float32Array(p * slabs.reduce((sum, { block }) => sum + block.count, 0));
  let offset = 0;
  for (const slab of slabs) {
    const part = values.subarray(offset, (offset += p * slab.block.count));
    const found = await product(device, linearization, slab, part);
    if (found !== part) part.set(found);
  }
  return values;
}
