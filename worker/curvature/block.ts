import { ShapeMismatchError } from '../../protocol/errors.js';
import type { ParameterLayout, ParameterSlice } from '../../protocol/model.js';
import type { Device } from '../engines/operations.js';

/** K vectors of p values on the device: for each slice of the parameter layout a tensor rows × (K·units). */
export interface Block<T> {
  count: number;
  slices: readonly T[];
}

/** Uploads K × p values, one vector a row. Throws `ShapeMismatchError` if their number is not K·p. */
export function uploadBlock<T>(
  device: Device<T>,
  layout: ParameterLayout,
  values: Float32Array,
  count: number,
): Block<T> {
  if (count < 1 || values.length !== count * layout.count)
    throw new ShapeMismatchError(
      `${values.length} values are not ${count} vectors of ${layout.count} parameters`,
    );
  const slices = layout.slices.map((slice) => {
    const { rows, units } = matrixOf(slice);
    return device.upload(arrange(values, layout.count, count, slice), [rows, count * units]);
  });
  return { count, slices };
}

/** The block as K × p values, in `scratch` if the device likes; frees nothing. */
export async function downloadBlock<T>(
  device: Device<T>,
  layout: ParameterLayout,
  block: Block<T>,
  scratch?: Float32Array,
): Promise<Float32Array> {
  return device.read
    ? readBlock(device, layout, block, scratch)
    : downloadFlat(device, layout, () => block, scratch);
}

/**
 * The same for a block that is yet to be made, and freed: a device that records graphs has one for all of it, which it takes
 * again for the same `key` (see `Device.repeat`).
 */
export async function makeAndDownloadBlock<T>(
  device: Device<T>,
  layout: ParameterLayout,
  make: () => Block<T>,
  scratch: Float32Array | undefined,
  repeated: Repeated<T>,
): Promise<Float32Array> {
  if (!device.read) return downloadFlat(device, layout, make, scratch, repeated);
  const block = device.tidy(make, ({ slices }) => slices);
  const values = readBlock(device, layout, block, scratch);
  device.dispose(block.slices);
  return values;
}

/** From the memory of the host, where the device has its tensors there. */
function readBlock<T>(
  device: Device<T>,
  layout: ParameterLayout,
  { count, slices }: Block<T>,
  scratch: Float32Array = new Float32Array(count * layout.count),
): Float32Array {
  for (const [index, slice] of layout.slices.entries())
    device.read!(slices[index]!, (matrix) =>
      eachRun(layout.count, count, slice, (inVectors, inMatrix, length) =>
        copyRun(matrix, inMatrix, scratch, inVectors, length),
      ),
    );
  return scratch;
}

interface Repeated<T> {
  key: object;
  inputs: readonly T[];
}

async function downloadFlat<T>(
  device: Device<T>,
  layout: ParameterLayout,
  make: () => Block<T>,
  scratch: Float32Array | undefined,
  repeated?: Repeated<T>,
): Promise<Float32Array> {
  const work = () => flatten(device, layout, make());
  const flat =
    repeated && device.repeat
      ? device.repeat(repeated.key, repeated.inputs, work)
      : device.tidy(work, (tensor) => [tensor]);
  const values = await device.download(flat, scratch);
  device.dispose([flat]);
  return values;
}

/** K × p, a vector a row. */
function flatten<T>(device: Device<T>, layout: ParameterLayout, { count, slices }: Block<T>): T {
  const parts = layout.slices.map((slice, index) => {
    const { rows, units } = matrixOf(slice);
    const matrix = slices[index]!;
    const vectorByVector =
      count === 1 ? matrix : device.transpose(device.reshape(matrix, [rows, count, units]), [1, 0, 2]);
    return device.reshape(vectorByVector, [count, slice.size]);
  });
  return device.concat(parts, 1);
}

/** One slice of K row vectors as rows × (K·units). */
function arrange(values: Float32Array, length: number, count: number, slice: ParameterSlice) {
  const matrix = new Float32Array(slice.size * count);
  eachRun(length, count, slice, (inVectors, inMatrix, units) =>
    copyRun(values, inVectors, matrix, inMatrix, units),
  );
  return matrix;
}

/** The runs of consecutive values that a slice of K vectors of `length` values has in common with rows × (K·units). */
function eachRun(
  length: number,
  count: number,
  slice: ParameterSlice,
  visit: (inVectors: number, inMatrix: number, length: number) => void,
): void {
  const { rows, units } = matrixOf(slice);
  if (count === 1) visit(slice.offset, 0, slice.size);
  else
    for (let k = 0; k < count; k++)
      for (let row = 0; row < rows; row++)
        visit(k * length + slice.offset + row * units, (row * count + k) * units, units);
}

/** Short runs are not worth the views that `set` takes. */
function copyRun(source: Float32Array, from: number, target: Float32Array, to: number, length: number): void {
  if (length > 64) target.set(source.subarray(from, from + length), to);
  else for (let i = 0; i < length; i++) target[to + i] = source[from + i]!;
}

/** A slice as a matrix: its last axis against all others. */
function matrixOf({ shape, size }: ParameterSlice) {
  const units = shape.at(-1)!;
  return { rows: size / units, units };
}
