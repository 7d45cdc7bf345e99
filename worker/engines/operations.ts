import type { ConvolutionGeometry } from '../windows.js';

/**
 * The tensor operations that the curvature maps are written in. `T` is an engine's opaque handle of an immutable
 * float32 tensor; shapes are static and always known. An eager engine executes each call; a recording engine may
 * write it down instead. Elementwise operations of two tensors broadcast as in NumPy.
 */
export interface Operations<T> {
  shape(a: T): readonly number[];
  fill(shape: readonly number[], value: number): T;
  /** A tensor of values known beforehand. */
  constant(values: Float32Array, shape: readonly number[]): T;
  /** m×k by k×n. There are no transpose flags: transpose what is used often once, and keep it. */
  matmul(a: T, b: T): T;
  /** Axis i of the result is axis `order[i]` of `a`. */
  transpose(a: T, order: readonly number[]): T;
  reshape(a: T, shape: readonly number[]): T;
  add(a: T, b: T): T;
  sub(a: T, b: T): T;
  mul(a: T, b: T): T;
  div(a: T, b: T): T;
  scale(a: T, factor: number): T;
  exp(a: T): T;
  log(a: T): T;
  tanh(a: T): T;
  sigmoid(a: T): T;
  sqrt(a: T): T;
  /** 2/√π · ∫₀ᵃ exp(−t²) dt, to 2e-7. */
  erf(a: T): T;
  /** log(1 + eᵃ), without overflow. */
  softplus(a: T): T;
  relu(a: T): T;
  /** 1 where a > 0, else 0. */
  step(a: T): T;
  /** Sum over one axis, which is kept with length 1. */
  sum(a: T, axis: number): T;
  /** Maximum over one axis, which is kept with length 1. */
  max(a: T, axis: number): T;
  concat(parts: readonly T[], axis: number): T;
  /** Rows (first axis) of a matrix, in the order of `indices`, repeats allowed. */
  gatherRows(a: T, indices: Int32Array): T;
  /** Rows (first axis) `from` to `to`, the latter not included. */
  sliceRows(a: T, from: number, to: number): T;
  /** n × d to n × m: column j is column `indices[j]` of `a`, zeros where that is −1. */
  gatherColumns(a: T, indices: Int32Array): T;
  /** The adjoint of `gatherColumns`, n × m to n × `columns`: column j is added to column `indices[j]`. */
  scatterColumns(a: T, indices: Int32Array, columns: number): T;
  /** Rows of a matrix m × d by ids on the device, whole numbers 0 … m − 1 in a tensor of k values: k × d. */
  lookupRows(a: T, ids: T): T;
  /** The adjoint of `lookupRows`, k × d to `rows` × d: row i is added to row `ids[i]`. */
  scatterRows(a: T, ids: T, rows: number): T;
  /**
   * n rows of height × width × channels as convolutions read them: n rows again, laid out as suits the engine. What is
   * read often is laid out once.
   */
  windows(a: T, geometry: ConvolutionGeometry): T;
  /** a ∗ W with K kernels, (taps·channels) × (K·filters): n × (K·positions·filters). */
  convolve(windows: T, kernels: T, geometry: ConvolutionGeometry): T;
  /** Its adjoint for the input, δ ∗ᵀ W, of n × (positions·filters) with K kernels: n × (K·input). */
  convolveBack(delta: T, kernels: T, geometry: ConvolutionGeometry): T;
  /**
   * Its adjoint for the kernels, a ∗ᵀ δ summed over rows: (taps·channels) × (K·filters), where either the windows or δ,
   * rows × (positions·filters), have K rows for each of the other's.
   */
  kernelGradient(windows: T, delta: T, geometry: ConvolutionGeometry): T;
}

/** Operations with a memory: what brings tensors to a device, back from it, and frees them. */
export interface Device<T> extends Operations<T> {
  upload(values: Float32Array, shape: readonly number[]): T;
  /** Its values, in `scratch` (as many) if that is given and the device likes. */
  download(a: T, scratch?: Float32Array): Promise<Float32Array>;
  /** Hands out its values, to be read and not kept, where they lie in the memory of the host. */
  read?(a: T, use: (values: Float32Array) => void): void;
  /**
   * Runs `work`, then frees every tensor made meanwhile but those that `kept` names; the kept ones live until
   * `dispose`, whatever scope surrounds this one.
   */
  tidy<R>(work: () => R, kept: (result: R) => readonly T[]): R;
  /**
   * `tidy` for work that makes one tensor and is done over and over. All that it reads beside `inputs` is the same each time and
   * lives as long as `key`: a device that records graphs takes the graph of the last time.
   */
  repeat?(key: object, inputs: readonly T[], work: () => T): T;
  dispose(tensors: readonly T[]): void;
  /** Bytes of the values of these tensors; what several of them share counts once. */
  bytesOf(tensors: readonly T[]): number;
}
