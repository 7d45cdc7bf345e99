import type { Curvature } from '../../protocol/requests.js';
import type { Operations } from '../engines/operations.js';

/*
 * A layer's four maps: forward, backward, and the directional derivative of each (Pearlmutter's R-operator, 1994).
 *
 * Activations and deltas (δ = ∂ℓ/∂activation) are b × d, a row per data row, the axes of a row taken together. Tangents of K directions at once are
 * b × (K·d): within a row, direction by direction. So x·[V₁ … V_K] is one product, and seen as (b·K) × d a tangent
 * goes through a kernel in one product too. Arrays of parameters carry K likewise, before their last axis:
 * rows × (K·units). Everything kept for later products has the data row as its first axis or is derived from it.
 *
 * A layer may take several inputs. The tangent of one that no parameter decides is absent: it is zero; its delta is not
 * asked for.
 */

/** A layer with its parameters on the device. */
export interface Layer<T> {
  /** As in the network's description: `layer0`. */
  readonly name: string;
  /** How many consecutive slices of the parameter layout are its own. */
  readonly sliceCount: number;
  /** Tensors made of its parameters. */
  readonly held: readonly T[];
  forward(inputs: readonly T[]): LayerPass<T>;
  /** K directions in the space of its parameters, given slice by slice; undefined for a layer without any. */
  direct(slices: readonly T[]): ParameterDirections<T> | undefined;
  /** Of a layer with a kernel: what the kernel multiplies, a row for each data row and position of the output, (b·P) × inputs. */
  readonly patches?: (input: T) => T;
}

/** What the maps of a layer need of K directions V of its parameters. */
export interface ParameterDirections<T> {
  /** Tensors made of V, beside V's own. */
  readonly held: readonly T[];
  /** Derivative of the output along V at a fixed input: a ↦ a·V. */
  forward(input: T): T;
  /** Derivative of the backward map along V at a fixed output delta, as the layer's own maps take it: δ ↦ δ·Vᵀ. */
  backward(delta: T): T;
}

export interface LayerPass<T> {
  output: T;
  backward(outputDelta: T): LayerGradient<T>;
}

export interface LayerGradient<T> {
  /** Summed over rows, a tensor for each slice. */
  slices: readonly T[];
  /** One for each input; undefined for inputs that no parameter decides. */
  inputDeltas: readonly (T | undefined)[];
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
  forward(
    directions: ParameterDirections<T> | undefined,
    inputTangents: readonly (T | undefined)[],
  ): TangentPass<T>;
  selectRows(indices: Int32Array): TangentMaps<T>;
}

export interface TangentPass<T> {
  outputTangent: T;
  backward(outputDeltaTangent: T): {
    slices: readonly T[];
    /** One for each input, as `inputDeltas`. */
    inputDeltaTangents: readonly (T | undefined)[];
  };
}

/** What every layer without parameters has. */
export const withoutParameters = { sliceCount: 0, held: [], direct: () => undefined } as const;

/** Multiplies each of the K blocks of columns of a tangent, b × (K·d), by the same b × d. Either may have one row. */
export function mulEachTangent<T>(ops: Operations<T>, factor: T, tangent: T): T {
  const [factorRows, width] = matrixShape(ops, factor);
  const [rows, columns] = matrixShape(ops, tangent);
  if (columns === width) return ops.mul(factor, tangent);
  const blocks = ops.reshape(tangent, [rows, columns / width, width]);
  const product = ops.mul(ops.reshape(factor, [factorRows, 1, width]), blocks);
  return ops.reshape(product, [Math.max(rows, factorRows), columns]);
}

/** A map of rows, n × d to n × m, applied to each of the K tangents in b × (K·d). */
export function mapEachTangent<T>(ops: Operations<T>, tangent: T, width: number, map: (rows: T) => T): T {
  const [rows, columns] = matrixShape(ops, tangent);
  const count = columns / width;
  if (count === 1) return map(tangent);
  const mapped = map(ops.reshape(tangent, [rows * count, width]));
  return ops.reshape(mapped, [rows, count * matrixShape(ops, mapped)[1]]);
}

/** b × (P·K·d), K inside the positions, to b × (K·P·d), and back with the two counts exchanged. */
export function exchange<T>(ops: Operations<T>, tangent: T, outer: number, inner: number): T {
  if (outer === 1 || inner === 1) return tangent;
  const [rows, width] = matrixShape(ops, tangent);
  const parts = ops.reshape(tangent, [rows, outer, inner, width / (outer * inner)]);
  return ops.reshape(ops.transpose(parts, [0, 2, 1, 3]), [rows, width]);
}

/** Sum over the rows: 1 × width. */
export function sumOfRows<T>(ops: Operations<T>, matrix: T): T {
  return ops.matmul(ops.fill([1, matrixShape(ops, matrix)[0]], 1), matrix);
}

/** Sum over the rows and the P positions of b × (K·P·d): 1 × (K·d). */
export function sumOfPositions<T>(ops: Operations<T>, tangent: T, positions: number, width: number): T {
  const sums = sumOfRows(ops, tangent);
  if (positions === 1) return sums;
  const count = matrixShape(ops, sums)[1] / (positions * width);
  return ops.reshape(sumOfAxis(ops, ops.reshape(sums, [count, positions, width]), 1), [1, count * width]);
}

/**
 * Sum over the last but one axis (`axis` 1 of three) or the last (1 of two), in two steps where it is long: float32
 * adds one after the other, and equal terms are all rounded the same way.
 */
export function sumOfAxis<T>(ops: Operations<T>, tensor: T, axis: 1): T {
  const [first, length, ...rest] = ops.shape(tensor) as [number, number, ...number[]];
  const part = largestPart(length);
  if (part === 1) return ops.sum(tensor, axis);
  const parts = ops.sum(ops.reshape(tensor, [first * part, length / part, ...rest]), axis);
  return ops.sum(ops.reshape(parts, [first, part, ...rest]), axis);
}

/** Sums of so many terms and more are worth two steps. */
export const inTwoSteps = 64;

/** The largest divisor up to the root, for lengths that are worth it. */
function largestPart(length: number): number {
  if (length < inTwoSteps) return 1;
  let part = Math.floor(Math.sqrt(length));
  while (length % part !== 0) part--;
  return part;
}

/** The sum of what is there of two. */
export function addPresent<T>(ops: Operations<T>, a: T, b: T | undefined): T;
export function addPresent<T>(ops: Operations<T>, a: T | undefined, b: T | undefined): T | undefined;
export function addPresent<T>(ops: Operations<T>, a: T | undefined, b: T | undefined): T | undefined {
  return a !== undefined && b !== undefined ? ops.add(a, b) : (a ?? b);
}

export function matrixShape<T>(ops: Operations<T>, matrix: T): [rows: number, columns: number] {
  const [rows, columns] = ops.shape(matrix);
  return [rows!, columns!];
}
