/**
 * The tensor operations that the curvature maps are written in. `T` is an engine's opaque handle of an immutable
 * float32 tensor; shapes are static and always known. An eager engine executes each call; a recording engine may
 * write it down instead. Elementwise operations of two tensors broadcast as in NumPy.
 */
export interface Operations<T> {
  shape(a: T): readonly number[];
  fill(shape: readonly number[], value: number): T;
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
}

/** Operations with a memory: what brings tensors to a device, back from it, and frees them. */
export interface Device<T> extends Operations<T> {
  upload(values: Float32Array, shape: readonly number[]): T;
  download(a: T): Promise<Float32Array>;
  /**
   * Runs `work`, then frees every tensor made meanwhile but those that `kept` names; the kept ones live until
   * `dispose`, whatever scope surrounds this one.
   */
  tidy<R>(work: () => R, kept: (result: R) => readonly T[]): R;
  dispose(tensors: readonly T[]): void;
}
