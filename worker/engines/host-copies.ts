import { BadRequestError } from '../../protocol/errors.js';

/* Copies between float32 arrays of the host, which hold matrices row by row. */

/** Column j of the target is column `indices[j]` of the source, zero where that is −1. */
export function copyColumns(
  source: Float32Array,
  target: Float32Array,
  indices: Int32Array,
  columns: number,
): void {
  const width = indices.length;
  for (let from = 0, to = 0; from < source.length; from += columns, to += width)
    for (let j = 0; j < width; j++) {
      const index = indices[j]!;
      target[to + j] = index < 0 ? 0 : source[from + index]!;
    }
}

/** Column j of the source is added to column `indices[j]` of the target, which begins at zero; −1 is left out. */
export function addColumns(
  source: Float32Array,
  target: Float32Array,
  indices: Int32Array,
  columns: number,
): void {
  target.fill(0);
  const width = indices.length;
  for (let from = 0, to = 0; from < source.length; from += width, to += columns)
    for (let j = 0; j < width; j++) {
      const index = indices[j]!;
      if (index >= 0) target[to + index]! += source[from + j]!;
    }
}

export function copyRowsById(
  source: Float32Array,
  target: Float32Array,
  ids: Float32Array,
  width: number,
): void {
  for (const [place, id] of ids.entries())
    target.set(source.subarray(id * width, (id + 1) * width), place * width);
}

/** Row i of the source is added to row `ids[i]` of the target, which begins at zero. */
export function addRowsById(
  source: Float32Array,
  target: Float32Array,
  ids: Float32Array,
  width: number,
): void {
  target.fill(0);
  for (const [place, id] of ids.entries())
    for (let i = 0; i < width; i++) target[id * width + i]! += source[place * width + i]!;
}

/** The ids, or `BadRequestError` for one that is no whole number 0 … rows − 1. */
export function checkIds(ids: Float32Array, rows: number): Float32Array {
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= rows);
  if (wrong === undefined) return ids;
  throw new BadRequestError(`an embedding of ${rows} ids is given the feature ${wrong}`, {
    hint: `its features are whole numbers 0 to ${rows - 1}`,
    details: { id: wrong, vocabulary: rows },
  });
}
