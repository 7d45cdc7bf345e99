import type { Curvature } from '../../protocol/requests.js';
import type { Device } from '../engines/operations.js';
import { uploadBatch } from './batch.js';
import type { Batch } from './batch.js';
import { downloadBlock, makeAndDownloadBlock, uploadBlock } from './block.js';
import type { Block } from './block.js';
import { forward, linearizeGraph, tangentForward, tangentPass } from './graph.js';
import { matrixShape, mulEachTangent, sumOfAxis } from './layer.js';
import type { LayerGradient, ParameterDirections, TangentMaps } from './layer.js';
import { evaluateLoss } from './losses.js';
import type { OutputHessian } from './losses.js';
import type { BoundNetwork } from './network.js';

/**
 * A network linearized at one batch: all that products with its curvature matrix need, none of which depends on v.
 * With J the derivative of the outputs in θ and H_L the Hessian of the loss in the outputs, that matrix is the Hessian
 * or the generalised Gauss-Newton matrix Jᵀ·H_L·J (Schraudolph 2002), which leaves out the second derivatives of the
 * network: in the tangent pass, the terms that carry a delta.
 */
export interface Linearization<T> {
  rows: number;
  bound: BoundNetwork<T>;
  /** Of each node of the network's graph; undefined where no parameter decides its output. */
  layers: readonly (TangentMaps<T> | undefined)[];
  /** Of each row's loss in the outputs, times the row's weight: rows × outputs. */
  outputGradient: T;
  outputHessian: OutputHessian<T>;
  /** Its tensors; `device.dispose(linearization.held)` frees it. */
  held: readonly T[];
  /** Bytes of those tensors. */
  bytes: number;
}

/** Sums over the rows of a batch, each times its weight. */
export interface LossAndGradient {
  loss: number;
  /** p values */
  gradient: Float32Array;
}

/** K directions in parameter space, ready for every linearization of the thread. */
export interface Tangent<T> {
  block: Block<T>;
  directions: readonly (ParameterDirections<T> | undefined)[];
  held: readonly T[];
}

/** Runs the forward and the backward pass once and keeps what the tangent pass needs. */
export function linearize<T>(
  device: Device<T>,
  bound: BoundNetwork<T>,
  batch: Batch,
  curvature: Curvature = 'hessian',
): Linearization<T> {
  return device.tidy(
    () => linearizationOf(device, bound, batch.rows, forwardAndBackward(device, bound, batch), curvature),
    (result) => result.held,
  );
}

/** Loss and gradient summed over the rows, the loss in float64. Keeps nothing on the device. */
export async function evaluate<T>(
  device: Device<T>,
  bound: BoundNetwork<T>,
  batch: Batch,
): Promise<LossAndGradient> {
  const sums = device.tidy(
    () => sumsOf(forwardAndBackward(device, bound, batch)),
    ({ rowLosses, slices }) => [rowLosses, ...slices],
  );
  return downloadSums(device, bound, sums);
}

/** `linearize` and `evaluate` at the cost of one of them. */
export async function linearizeAndEvaluate<T>(
  device: Device<T>,
  bound: BoundNetwork<T>,
  batch: Batch,
  curvature: Curvature = 'hessian',
): Promise<LossAndGradient & { linearization: Linearization<T> }> {
  const { kept, sums } = device.tidy(
    () => {
      const pass = forwardAndBackward(device, bound, batch);
      return { kept: linearizationOf(device, bound, batch.rows, pass, curvature), sums: sumsOf(pass) };
    },
    (result) => [...result.kept.held, result.sums.rowLosses, ...result.sums.slices],
  );
  return { linearization: kept, ...(await downloadSums(device, bound, sums)) };
}

interface DeviceSums<T> {
  rowLosses: T;
  slices: readonly T[];
}

const sumsOf = <T>({ rowLosses, layers }: Pass<T>): DeviceSums<T> => ({
  rowLosses,
  slices: layers.flatMap((layer) => layer?.slices ?? []),
});

async function downloadSums<T>(
  device: Device<T>,
  bound: BoundNetwork<T>,
  { rowLosses, slices }: DeviceSums<T>,
): Promise<LossAndGradient> {
  const losses = await device.download(rowLosses);
  const gradient = await downloadBlock(device, bound.layout, { count: 1, slices });
  device.dispose([rowLosses, ...slices]);
  return { loss: losses.reduce((sum, loss) => sum + loss, 0), gradient };
}

/** Uploads V (K × p, a row per right-hand side). Free it with `device.dispose(tangent.held)`. */
export function prepareTangent<T>(
  device: Device<T>,
  bound: BoundNetwork<T>,
  values: Float32Array,
  count: number,
): Tangent<T> {
  return device.tidy(
    () => tangentOf(bound, uploadBlock(device, bound.layout, values, count)),
    (tangent) => tangent.held,
  );
}

/** The tangent that a block on the device is; `held` counts the block's own tensors too. */
export function tangentOf<T>(bound: BoundNetwork<T>, block: Block<T>): Tangent<T> {
  let used = 0;
  const directions = bound.graph.map(({ layer }) =>
    layer.direct(block.slices.slice(used, (used += layer.sliceCount))),
  );
  const derived = directions.flatMap((direction) => direction?.held ?? []);
  return { block, directions, held: [...block.slices, ...derived] };
}

/**
 * Σ over the rows of wᵢ·∇²ℓ(row), or of its Gauss-Newton part, times each direction: one tangent forward and one tangent backward pass. Neither the
 * l2 term nor the division by n is in it. Makes intermediate tensors: call it within `device.tidy`, or use `product`.
 */
export function multiply<T>(
  device: Device<T>,
  linearization: Linearization<T>,
  tangent: Tangent<T>,
): Block<T> {
  const { bound, layers, outputHessian } = linearization;
  const slices = tangentPass(device, bound.graph, layers, tangent.directions, (outputTangent) =>
    outputHessian.multiply(outputTangent),
  );
  return { count: tangent.block.count, slices };
}

/** `multiply`, downloaded: K × p values in the order of the parameter layout, in `scratch` if the device likes. */
export async function product<T>(
  device: Device<T>,
  linearization: Linearization<T>,
  tangent: Tangent<T>,
  scratch?: Float32Array,
): Promise<Float32Array> {
  const { layout } = linearization.bound;
  const make = () => multiply(device, linearization, tangent);
  return makeAndDownloadBlock(device, layout, make, scratch, { key: linearization, inputs: tangent.held });
}

/**
 * ∇ℓᵢ·v for each row i and direction v, times the row's weight: rows × K values, downloaded. The tangent pass forward and no
 * more; what an influence score is made of.
 */
export async function rowDerivatives<T>(
  device: Device<T>,
  { bound, layers, outputGradient, rows }: Linearization<T>,
  { block, directions }: Tangent<T>,
): Promise<Float32Array> {
  const { count } = block;
  const derivatives = device.tidy(
    () => {
      const { outputTangent } = tangentForward(bound.graph, layers, directions);
      const products = mulEachTangent(device, outputGradient, outputTangent);
      const width = matrixShape(device, products)[1] / count;
      const sums = sumOfAxis(device, device.reshape(products, [rows * count, width]), 1);
      return device.reshape(sums, [rows, count]);
    },
    (made) => [made],
  );
  const values = await device.download(derivatives);
  device.dispose([derivatives]);
  return values;
}

/** The linearization of some of the rows, repeats allowed, without another pass. Free it like its source. */
export function selectRows<T>(
  device: Device<T>,
  source: Linearization<T>,
  indices: Int32Array,
): Linearization<T> {
  return device.tidy(
    () =>
      linearization(
        device,
        source.bound,
        indices.length,
        source.layers.map((layer) => layer?.selectRows(indices)),
        device.gatherRows(source.outputGradient, indices),
        source.outputHessian.selectRows(indices),
      ),
    (result) => result.held,
  );
}

function linearization<T>(
  device: Device<T>,
  bound: BoundNetwork<T>,
  rows: number,
  layers: readonly (TangentMaps<T> | undefined)[],
  outputGradient: T,
  outputHessian: OutputHessian<T>,
): Linearization<T> {
  const ofLayers = layers.flatMap((layer) => layer?.held ?? []);
  const held = [...new Set([...ofLayers, outputGradient, ...outputHessian.held])];
  return { rows, bound, layers, outputGradient, outputHessian, held, bytes: device.bytesOf(held) };
}

const linearizationOf = <T>(
  device: Device<T>,
  bound: BoundNetwork<T>,
  rows: number,
  { layers, outputGradient, outputHessian }: Pass<T>,
  curvature: Curvature,
): Linearization<T> =>
  linearization(device, bound, rows, linearizeGraph(layers, curvature), outputGradient, outputHessian);

interface Pass<T> {
  layers: readonly (LayerGradient<T> | undefined)[];
  rowLosses: T;
  outputGradient: T;
  outputHessian: OutputHessian<T>;
}

function forwardAndBackward<T>(device: Device<T>, bound: BoundNetwork<T>, batch: Batch): Pass<T> {
  const { features, labels, weights } = uploadBatch(device, bound.network, batch);
  const pass = forward(device, bound.graph, features);
  const loss = evaluateLoss(device, bound.network, pass.output, labels, weights);
  return {
    layers: pass.backward(loss.gradient),
    rowLosses: loss.rowLosses,
    outputGradient: loss.gradient,
    outputHessian: loss.hessian,
  };
}
