import { SelfCheckError } from '../../protocol/errors.js';
import type { SelfCheck } from '../../protocol/jobs.js';
import type { Network, ParameterLayout } from '../../protocol/model.js';
import type { Curvature } from '../../protocol/requests.js';
import { generator } from '../../protocol/random.js';
import type { Device } from '../engines/operations.js';
import { rowsOf } from './batch.js';
import type { Batch } from './batch.js';
import { finiteDifference } from './finite-difference.js';
import { gaussNewtonDifference } from './gauss-newton-difference.js';
import { rowsWithoutKink } from './kinks.js';
import { linearize } from './linearization.js';
import { bindNetwork } from './network.js';
import { columnsAtOnce, prepareSlabs, productOfSlabs } from './slabs.js';
import { distance, dot, norm, ofSameSize, split } from './vectors.js';

const maxRows = 64;
/** Of a pass over them, if it has more than one direction. */
const workBytes = 128 * 2 ** 20;
/** Wrong derivatives are off by tenths; float32 differences at a good step agree to 1e-4 – 1e-3. */
const differenceTolerance = 1e-2;
/** Float32 sums of at most 64 rows keep 1e-5 of the norms; the rest is room for cancellation between rows. */
const symmetryTolerance = 1e-3;
const steps = Array.from({ length: 8 }, (_, level) => 0.1 / 4 ** level);

/**
 * Compares the product with central differences, and uᵀHv with vᵀHu, on at most 64 rows of `batch`. Directions: one
 * within each layer, of the size of its parameters, and one across all. The step goes down from 0.1 of that size until
 * product and differences agree; if they never do, the step at which the differences are steadiest decides, and their
 * own uncertainty there (thrice their change when the step is halved) is allowed for, so that rounding is no alarm.
 * Rows that cross a kink (relu) within a step are left out at that step. Throws `SelfCheckError` naming the layer.
 */
export async function selfCheck<T>(
  device: Device<T>,
  network: Network,
  parameters: Float32Array,
  batch: Batch,
  curvature: Curvature = 'hessian',
): Promise<SelfCheck> {
  const differences = curvature === 'hessian' ? finiteDifference : gaussNewtonDifference;
  const matrix = curvature === 'hessian' ? 'Hessian' : 'Gauss-Newton';
  const rows = rowsOf(
    batch,
    Int32Array.from({ length: Math.min(batch.rows, maxRows) }, (_, row) => row),
  );
  const bound = bindNetwork(device, network, parameters);
  const { vectors, count } = directions(bound.layout, parameters);
  const atOnce = columnsAtOnce(network, rows.rows, curvature, workBytes);
  const multiplyBy = async (some: Batch, block: Float32Array) => {
    const slabs = prepareSlabs(device, bound, block, count, atOnce);
    const linearization = linearize(device, bound, some, curvature);
    const values = await productOfSlabs(device, linearization, slabs);
    device.dispose([...slabs.flatMap(({ held }) => held), ...linearization.held]);
    return values;
  };
  const compareAt = async (step: number) => {
    const kept = await rowsWithoutKink(device, network, parameters, rows, vectors, count, step);
    if (kept.length === 0) return undefined;
    const some = rowsOf(rows, kept);
    const coarse = await differences(device, network, parameters, some, vectors, count, step);
    const fine = await differences(device, network, parameters, some, vectors, count, step / 2);
    const compared = compare(bound.layout, count, await multiplyBy(some, vectors), coarse, fine);
    return { ...compared, step, rows: kept.length };
  };

  try {
    const products = await multiplyBy(rows, vectors);
    const images = ofSameSize(products, vectors, count);
    const symmetry = asymmetry(
      split(vectors, count),
      split(products, count),
      split(images, count),
      split(await multiplyBy(rows, images), count),
    );
    if (!(symmetry <= symmetryTolerance))
      throw new SelfCheckError(`the ${matrix} product is not symmetric: relative difference ${symmetry}`, {
        details: { symmetry, tolerance: symmetryTolerance },
      });
    let best: Awaited<ReturnType<typeof compareAt>>;
    for (const step of steps) {
      const compared = await compareAt(step);
      if (compared === undefined) continue;
      const agrees = compared.error <= differenceTolerance;
      if (best === undefined || agrees || compared.doubt < best.doubt) best = compared;
      if (agrees) break;
    }
    if (best === undefined) return { symmetry, differences: 0, doubt: 0, step: 0, rows: 0 };
    const { error, doubt, step, worstSlice } = best;
    const figures = { symmetry, differences: error, doubt, step, rows: best.rows };
    if (!(error <= differenceTolerance + 3 * doubt))
      throw new SelfCheckError(
        `the ${matrix} product disagrees with central differences in ${worstSlice}: relative difference ${error}`,
        { details: { slice: worstSlice, tolerance: differenceTolerance, ...figures } },
      );
    return figures;
  } finally {
    device.dispose(bound.held);
  }
}

/** ±size within each layer, then ±size everywhere: size is the layer's root mean square, or 1/√inputs if that is 0. */
function directions(layout: ParameterLayout, parameters: Float32Array) {
  const layerOf = (name: string) => name.split('/')[0]!;
  const layers = [...new Set(layout.slices.map(({ name }) => layerOf(name)))];
  const count = layers.length + 1;
  const vectors = new Float32Array(count * layout.count);
  const random = generator(1);
  for (const [k, layer] of layers.entries()) {
    const own = layout.slices.filter(({ name }) => layerOf(name) === layer);
    const from = own[0]!.offset;
    const values = parameters.subarray(from, own.at(-1)!.offset + own.at(-1)!.size);
    const size = norm(values) / Math.sqrt(values.length) || 1 / Math.sqrt(own[0]!.shape[0]!);
    for (let i = 0; i < values.length; i++) {
      vectors[k * layout.count + from + i] = random.next() < 0 ? -size : size;
      vectors[(count - 1) * layout.count + from + i] = random.next() < 0 ? -size : size;
    }
  }
  return { vectors, count };
}

/**
 * With u = Hv of the size of v, so that uᵀHv does not vanish by chance: largest |uᵀHv − vᵀHu| / ‖u‖‖Hv‖, where a
 * millionth of ‖v‖‖Hu‖ passes for rounding.
 */
function asymmetry(v: Float32Array[], hv: Float32Array[], u: Float32Array[], hu: Float32Array[]): number {
  return Math.max(
    ...v.map((direction, k) => {
      const difference = Math.abs(dot(u[k]!, hv[k]!) - dot(direction, hu[k]!));
      const size = norm(u[k]!) * norm(hv[k]!) + 1e-3 * norm(direction) * norm(hu[k]!);
      return difference === 0 ? 0 : difference / size;
    }),
  );
}

interface Comparison {
  error: number;
  doubt: number;
  worstSlice: string;
}

function compare(
  layout: ParameterLayout,
  count: number,
  products: Float32Array,
  coarse: Float32Array,
  fine: Float32Array,
): Comparison {
  const result: Comparison = { error: 0, doubt: 0, worstSlice: layout.slices[0]!.name };
  const [p, c, f] = [split(products, count), split(coarse, count), split(fine, count)];
  for (let k = 0; k < count; k++) {
    const size = Math.max(norm(p[k]!), norm(f[k]!));
    const relative = (x: number) => (x === 0 ? 0 : x / size);
    const error = relative(distance(p[k]!, f[k]!));
    result.doubt = Math.max(result.doubt, relative(distance(c[k]!, f[k]!)));
    if (error <= result.error) continue;
    result.error = error;
    const sliceError = ({ offset, size }: { offset: number; size: number }) =>
      distance(p[k]!.subarray(offset, offset + size), f[k]!.subarray(offset, offset + size));
    result.worstSlice = layout.slices.reduce((a, b) => (sliceError(b) > sliceError(a) ? b : a)).name;
  }
  return result;
}
