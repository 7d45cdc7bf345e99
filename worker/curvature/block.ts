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

/** The block as K × p values, in one download, which may use `scratch`; frees nothing. */
export async function downloadBlock<T>(
  device: Device<T>,
  layout: ParameterLayout,
  block: Block<T>,
  scratch?: Float32Array,
) {
  const { count } = block;
  const flat = device.tidy(
    () => {
      const parts = layout.slices.map((slice, index) => {
        const { rows, units } = matrixOf(slice);
        const matrix = block.slices[index]!;
        const vectorByVector =
          count === 1 ? matrix : device.transpose(device.reshape(matrix, [rows, count, units]), [1, 0, 2]);
        return device.reshape(vectorByVector, [count, slice.size]);
      });
      return device.concat(parts, 1);
    },
    (tensor) => [tensor],
  );
  const values = await device.download(flat, scratch);
  device.dispose([flat]);
  return values;
}

/** One slice of K row vectors as rows × (K·units). */
function arrange(values: Float32Array, length: number, count: number, slice: ParameterSlice) {
  const { rows, units } = matrixOf(slice);
  const arranged = new Float32Array(slice.size * count);
  for (let k = 0; k < count; k++)
    for (let row = 0; row < rows; row++) {
      const from = k * length + slice.offset + row * units;
      arranged.set(values.subarray(from, from + units), (row * count + k) * units);
    }
  return arranged;
}

/** A slice as a matrix: its last axis against all others. */
function matrixOf({ shape, size }: ParameterSlice) {
  const units = shape.at(-1)!;
  return { rows: size / units, units };
}
