import { l2OfSlice } from '../../protocol/model.js';
import type { Device } from '../engines/operations.js';
import { downloadBlock, uploadBlock } from './block.js';
import type { Block } from './block.js';
import { multiply, selectRows, tangentOf } from './linearization.js';
import type { Linearization } from './linearization.js';

export interface Minibatch {
  /** Row numbers within the linearized shard. */
  indices: Int32Array;
  /** rows / batchSize, at most 1: a short minibatch counts for its rows and no more. */
  weight: number;
}

export interface LissaOptions {
  /** 1 − damping/scale: what is left of the state in each step, beside the curvature. */
  shrink: number;
  scale: number;
  /** What a row counts for in the mean of a minibatch: 1, or the mean weight of the dataset's rows. */
  rowWeight: number;
}

export interface LissaResult {
  /** K × p */
  state: Float32Array;
  /** Largest |state| of each right-hand side; NaN or Infinity where the chain has left the finite numbers. */
  maxAbs: Float64Array;
}

/** So many steps are one graph of an engine that records: the state leaves the runtime between graphs alone. */
const stepsAtOnce = 8;

/**
 * Runs a chain of K right-hand sides (`state` and `v`, K × p each) through the minibatches of one shard, the state
 * staying on the device. With w the minibatch's weight, H_B the mean curvature of its rows and l2 of each parameter:
 *
 *   S ← (1 − w)·S + w·(V + shrink·S − (H_B·S + l2·S)/scale)
 */
export async function runLissa<T>(
  device: Device<T>,
  shard: Linearization<T>,
  state: Float32Array,
  v: Float32Array,
  count: number,
  minibatches: readonly Minibatch[],
  options: LissaOptions,
): Promise<LissaResult> {
  const { layout } = shard.bound;
  const target = uploadBlock(device, layout, v, count);
  let current = uploadBlock(device, layout, state, count);
  for (let done = 0; done < minibatches.length; done += stepsAtOnce) {
    const before = current;
    current = device.tidy(
      () => steps(device, shard, before, target, minibatches.slice(done, done + stepsAtOnce), options),
      (block) => block.slices,
    );
    device.dispose(before.slices);
  }
  const values = await downloadBlock(device, layout, current);
  device.dispose([...current.slices, ...target.slices]);
  return { state: values, maxAbs: maxAbsOfRows(values, count) };
}

/** Each step's tensors are freed before the next. */
function steps<T>(
  device: Device<T>,
  shard: Linearization<T>,
  state: Block<T>,
  target: Block<T>,
  minibatches: readonly Minibatch[],
  options: LissaOptions,
): Block<T> {
  return minibatches.reduce((before, minibatch) => {
    const next = device.tidy(
      () => step(device, shard, before, target, minibatch, options),
      (block) => block.slices,
    );
    if (before !== state) device.dispose(before.slices);
    return next;
  }, state);
}

function step<T>(
  device: Device<T>,
  shard: Linearization<T>,
  state: Block<T>,
  target: Block<T>,
  { indices, weight }: Minibatch,
  { shrink, scale, rowWeight }: LissaOptions,
): Block<T> {
  const rows = selectRows(device, shard, indices);
  const curvature = multiply(device, rows, tangentOf(shard.bound, state));
  device.dispose(rows.held);
  const { network, layout } = shard.bound;
  const ofCurvature = -weight / (scale * indices.length * rowWeight);
  const slices = state.slices.map((slice, index) => {
    const l2 = l2OfSlice(network, layout.slices[index]!);
    const ofState = 1 - weight + weight * (shrink - l2 / scale);
    return device.add(
      device.add(device.scale(slice, ofState), device.scale(target.slices[index]!, weight)),
      device.scale(curvature.slices[index]!, ofCurvature),
    );
  });
  return { count: state.count, slices };
}

function maxAbsOfRows(values: Float32Array, count: number): Float64Array {
  const width = values.length / count;
  return Float64Array.from({ length: count }, (_, k) =>
    values.subarray(k * width, (k + 1) * width).reduce((most, value) => Math.max(most, Math.abs(value)), 0),
  );
}
