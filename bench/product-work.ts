import type { Linearization } from '../worker/curvature/linearization.js';
import { columnsAtOnce, prepareSlabs, productOfSlabs } from '../worker/curvature/slabs.js';
import type { Engine } from '../worker/engines/engine.js';
import { normals, type Work } from './measure.js';

/** A product with K vectors as a worker computes it: rows linearized, vectors on the device, answer downloaded. */
export function productWork<T>(engine: Engine<T>, linearization: Linearization<T>, count: number): Work {
  const { bound } = linearization;
  const { network, layout } = bound;
  const atOnce = columnsAtOnce(network, linearization.rows, 'hessian', engine.workBytes);
  const slabs = prepareSlabs(engine, bound, normals(count * layout.count, 3), count, atOnce);
  const scratch = new Float32Array(count * layout.count);
  return {
    run: () => productOfSlabs(engine, linearization, slabs, scratch),
    dispose: () => engine.dispose(slabs.flatMap(({ held }) => held)),
  };
}
