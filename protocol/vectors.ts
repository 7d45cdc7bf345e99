import {
  Field,
  FixedSizeList,
  Float32,
  Float64,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  DataType,
  RecordBatchReader,
  tableToIPC,
  type TypeMap,
} from 'apache-arrow';
import { BadFileError, IhvpError, NotFiniteError, ShapeMismatchError } from './errors.js';

/** K vectors of p values each: right-hand sides, solutions, or parameters. */
export interface VectorBlock {
  /** count × size, one vector after the other. */
  values: Float32Array | Float64Array;
  /** K. */
  count: number;
  /** p. */
  size: number;
}

/** An Arrow IPC file of one column, `vector`: FixedSizeList<float32 or float64>[size], one row a vector. */
export function encodeVectors(values: Float32Array | Float64Array, count: number, size: number): Uint8Array {
  if (values.length !== count * size)
    throw new ShapeMismatchError(`${values.length} values are not ${count} vectors of ${size}`);
  const child =
    values instanceof Float32Array
      ? makeData({ type: new Float32(), length: values.length, nullCount: 0, data: values })
      : makeData({ type: new Float64(), length: values.length, nullCount: 0, data: values });
  const type = new FixedSizeList(size, new Field('item', child.type, false));
  const column = makeData({ type, length: count, nullCount: 0, child });
  const schema = new Schema([new Field('vector', type, false)]);
  const struct = makeData({ type: new Struct(schema.fields), length: count, nullCount: 0, children: [column] });
  return tableToIPC(new Table([new RecordBatch(schema, struct)]), 'file');
}

/**
 * The block in an Arrow IPC file or stream that `encodeVectors` or another program wrote: its column `vector`, or its
 * only column. Throws `BadFileError`, or `NotFiniteError` naming row and column.
 */
export function decodeVectors(bytes: Uint8Array): VectorBlock {
  let parts: { values: Float32Array | Float64Array; count: number; size: number }[];
  try {
    parts = [...RecordBatchReader.from<TypeMap>(bytes).open() as Iterable<RecordBatch<TypeMap>>].map(decodeBatch);
  } catch (error) {
    if (error instanceof IhvpError) throw error;
    throw new BadFileError('this is no Arrow IPC file of vectors', { cause: error });
  }
  return checked(joined(parts));
}
