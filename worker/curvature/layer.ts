import type { Curvature } from '../../protocol/requests.js';
import type { Operations } from '../engines/operations.js';

/*
 * A layer's four maps: forward, backward, and the directional derivative of each (Pearlmutter's R-operator, 1994).
 *
 * Activations and deltas (δ = ∂ℓ/∂activation) are b × d, a row per data row. Tangents of K directions at once are
 * b × (K·d): within a row, direction by direction. So x·[V₁ … V_K] is one product, and seen as (b·K) × d a tangent
 * goes through a kernel in one product too. Arrays of parameters carry K likewise, before their last axis:
 * rows × (K·units). Everything kept for later products has the data row as its first axis or is derived from it.
 *
 * An absent tangent is zero.
 */

/** A layer with its parameters on the device. */
export interface Layer<T> {
  /** As in the parameter layout: `layer0`. */
  readonly name: string;
  /** How many consecutive slices of the parameter layout are its own. */
  readonly sliceCount: number;
  /** Tensors made of its parameters. */
  readonly held: readonly T[];
  forward(input: T): LayerPass<T>;
  /** K directions in the space of its parameters, given slice by slice; undefined for a layer without any. */
  direct(slices: readonly T[]): ParameterDirections<T> | undefined;
}

/** What the maps of a layer need of K directions V of its parameters. */
export interface ParameterDirections<T> {
  /** Tensors made of V, beside V's own. */
  readonly held: readonly T[];
  /** Derivative of the output along V at a fixed input: a ↦ a·V. */
  forward(input: T): T;
  /** Derivative of the backward map along V at a fixed output delta: δ ↦ δ·Vᵀ. */
  backward(delta: T): T;
}

export interface LayerPass<T> {
  output: T;
  backward(outputDelta: T): LayerGradient<T>;
}

export interface LayerGradient<T> {
  /** Summed over rows, a tensor for each slice. */
  slices: readonly T[];
  /** Undefined for the first layer, whose input is data. */
  inputDelta: T | undefined;
  /** For `gauss-newton` the output delta counts as zero, so that no term carries it. */
  tangentMaps(curvature: Curvature): TangentMaps<T>;
}

/** A layer linearized at one batch. */
export interface TangentMaps<T> {
  readonly held: readonly T[];
  /**
   * Piecewise constant factors (rows first): where one of them differs between two parameter vectors, the row's loss
   * has a kink between them, and differences say nothing of the derivative there.
   */
  readonly pieces: readonly T[];
  forward(directions: ParameterDirections<T> | undefined, inputTangent: T | undefined): TangentPass<T>;
  selectRows(indices: Int32Array): TangentMaps<T>;
}

export interface TangentPass<T> {
  outputTangent: T;
  backward(outputDeltaTangent: T): { slices: readonly T[]; inputDeltaTangent: T | undefined };
}

/** Multiplies each of the K blocks of columns of a tangent, b × (K·d), by the same b × d. */
export function mulEachTangent<T>(ops: Operations<T>, factor: T, tangent: T): T {
  const [rows, width] = matrixShape(ops, factor);
  const shape = matrixShape(ops, tangent);
  const blocks = ops.reshape(tangent, [rows, shape[1] / width, width]);
  return ops.reshape(ops.mul(ops.reshape(factor, [rows, 1, width]), blocks), shape);
}

export function matrixShape<T>(ops: Operations<T>, matrix: T): [rows: number, columns: number] {
  const [rows, columns] = ops.shape(matrix);
  return [rows!, columns!];
}
