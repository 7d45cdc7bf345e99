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
  type Data,
  tableToIPC,
} from 'apache-arrow';
import { readArrowFile } from './arrow-file.js';
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
  const struct = makeData({
    type: new Struct(schema.fields),
    length: count,
    nullCount: 0,
    children: [column],
  });
  return tableToIPC(new Table([new RecordBatch(schema, struct)]), 'file');
}

/**
 * The block in an Arrow IPC file that `encodeVectors` or another program wrote: its column `vector`, or its
 * only column. Throws `BadFileError`, or `NotFiniteError` naming row and column.
 */
export function decodeVectors(bytes: Uint8Array): VectorBlock {
  try {
    const columns = readArrowFile(bytes).map((batch) => {
      const column = batch.getChild('vector') ?? (batch.numCols === 1 ? batch.getChildAt(0) : null);
      if (!column) throw new BadFileError('the Arrow file has no column "vector"');
      return column.data;
    });
    return checkFinite(
      joined(
        columns
          .flat()
          .filter((part) => part.length > 0)
          .map(decodePart),
      ),
    );
  } catch (error) {
    if (error instanceof IhvpError) throw error;
    throw new BadFileError('this is no Arrow IPC file of vectors', {
      hint: 'write an uncompressed Arrow IPC file (not a stream)',
      cause: error,
    });
  }
}

function decodePart(data: Data): VectorBlock {
  const items = data.children[0];
  const values: unknown = items?.values;
  if (
    !DataType.isFixedSizeList(data.type) ||
    !items ||
    !(values instanceof Float32Array || values instanceof Float64Array)
  )
    throw new BadFileError('the column of vectors is no FixedSizeList of float32 or float64');
  const { listSize: size } = data.type;
  if (items.length !== data.length * size || values.length < items.length)
    throw new BadFileError('the column of vectors ends early');
  if (data.nullCount > 0 || items.nullCount > 0) throw new BadFileError('the column of vectors has nulls');
  return { values: values.subarray(0, items.length), count: data.length, size };
}

function joined(parts: VectorBlock[]): VectorBlock {
  const [first] = parts;
  if (!first) throw new BadFileError('the Arrow file has no vectors');
  if (parts.length === 1) return first;
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const values =
    first.values instanceof Float32Array
      ? new Float32Array(count * first.size)
      : new Float64Array(count * first.size);
  let at = 0;
  for (const part of parts) {
    values.set(part.values, at);
    at += part.values.length;
  }
  return { values, count, size: first.size };
}

/** The block itself. Throws `NotFiniteError` on NaN or ±Inf, naming row and column. */
export function checkFinite(block: VectorBlock): VectorBlock {
  const { values, size } = block;
  // x − x is 0 for every finite x and NaN for the rest.
  for (let index = 0; index < values.length; index++)
    if (values[index]! - values[index]! !== 0) {
      const details = { row: Math.floor(index / size), column: index % size };
      throw new NotFiniteError(
        `${values[index]} in row ${details.row}, column ${details.column} of the vectors`,
        {
          details,
        },
      );
    }
  return block;
}
