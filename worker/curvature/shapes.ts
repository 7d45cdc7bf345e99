import { sizeOf } from '../../protocol/shapes.js';
import type { Device } from '../engines/operations.js';
import { inputSize, positionsOf, tapsOf } from '../windows.js';

type Shape = readonly number[];

/** Operations on shapes alone. Nothing is computed; `made` counts the values of all tensors that would be made. */
export class Shapes implements Device<Shape> {
  made = 0;

  shape = (a: Shape) => a;
  reshape = (_a: Shape, shape: Shape) => shape;
  fill = (shape: Shape) => this.#make(shape);
  constant = (_values: Float32Array, shape: Shape) => this.#make(shape);
  upload = (_values: Float32Array, shape: Shape) => this.#make(shape);
  matmul = (a: Shape, b: Shape) => this.#make([a[0]!, b[1]!]);
  transpose = (a: Shape, order: readonly number[]) => this.#make(order.map((axis) => a[axis]!));
  add = (a: Shape, b: Shape) => this.#pair(a, b);
  sub = (a: Shape, b: Shape) => this.#pair(a, b);
  mul = (a: Shape, b: Shape) => this.#pair(a, b);
  div = (a: Shape, b: Shape) => this.#pair(a, b);
  scale = (a: Shape) => this.#make(a);
  exp = (a: Shape) => this.#make(a);
  log = (a: Shape) => this.#make(a);
  tanh = (a: Shape) => this.#make(a);
  sigmoid = (a: Shape) => this.#make(a);
  sqrt = (a: Shape) => this.#make(a);
  erf = (a: Shape) => this.#make(a);
  softplus = (a: Shape) => this.#make(a);
  relu = (a: Shape) => this.#make(a);
  step = (a: Shape) => this.#make(a);
  sum = (a: Shape, axis: number) => this.#make(a.with(axis, 1));
  max = (a: Shape, axis: number) => this.#make(a.with(axis, 1));
  concat = (parts: readonly Shape[], axis: number) =>
    this.#make(
      parts[0]!.with(
        axis,
        parts.reduce((sum, part) => sum + part[axis]!, 0),
      ),
    );
  gatherRows = (a: Shape, indices: Int32Array) => this.#make([indices.length, ...a.slice(1)]);
  sliceRows = (a: Shape, from: number, to: number) => this.#make([to - from, ...a.slice(1)]);
  gatherColumns = (a: Shape, indices: Int32Array) => this.#make([a[0]!, indices.length]);
  scatterColumns = (a: Shape, _indices: Int32Array, columns: number) => this.#make([a[0]!, columns]);
  lookupRows = (a: Shape, ids: Shape) => this.#make([sizeOf(ids), a[1]!]);
  scatterRows = (a: Shape, _ids: Shape, rows: number) => this.#make([rows, a[1]!]);
  /** What an engine makes on its way is its own. */
  windows = (a: Shape) => a;
  convolve: Device<Shape>['convolve'] = (windows, kernels, geometry) =>
    this.#make([windows[0]!, positionsOf(geometry) * kernels[1]!]);
  convolveBack: Device<Shape>['convolveBack'] = (delta, kernels, geometry) =>
    this.#make([delta[0]!, (inputSize(geometry) * kernels[1]!) / geometry.filters]);
  kernelGradient: Device<Shape>['kernelGradient'] = ([inputs], [deltas], geometry) => {
    const count = Math.max(inputs!, deltas!) / Math.min(inputs!, deltas!);
    return this.#make([tapsOf(geometry) * geometry.channels, count * geometry.filters]);
  };
  download = (a: Shape) => Promise.resolve(new Float32Array(sizeOf(a)));
  tidy = <R>(work: () => R) => work();
  dispose = () => {};
  bytesOf = (tensors: readonly Shape[]) => 4 * tensors.reduce((sum, shape) => sum + sizeOf(shape), 0);

  #make(shape: Shape): Shape {
    this.made += sizeOf(shape);
    return shape;
  }

  /** As NumPy broadcasts. */
  #pair(a: Shape, b: Shape): Shape {
    const axes = Math.max(a.length, b.length);
    const along = (shape: Shape, axis: number) => shape[axis - axes + shape.length] ?? 1;
    return this.#make(Array.from({ length: axes }, (_, axis) => Math.max(along(a, axis), along(b, axis))));
  }
}
