import { type Data, DataType, Type } from 'apache-arrow';
import { readArrowFile } from '../protocol/arrow-file.js';
import type { Labels, Manifest, Shard } from '../protocol/dataset.js';
import { sha256 } from '../protocol/digest.js';
import { CorruptShardError, IhvpError, LabelOutOfRangeError, NotFiniteError } from '../protocol/errors.js';
import { firstNotFinite, type LabelArray, labelWidth } from './rows.js';

export interface DecodedShard {
  /** rows × width, row by row; a view into the shard's bytes where they are aligned to 8. */
  features: Float32Array;
  /** rows class ids (int32), or rows × label width real numbers (float32). */
  labels: LabelArray;
  /** rows weights ≥ 0, where the manifest says that there are some. */
  weights?: Float32Array;
  rows: number;
  /** Source row of each row, from 0. */
  sourceRows: Int32Array | BigInt64Array;
}

/** Throws `CorruptShardError` unless these are the bytes that the manifest tells of. */
export function verifyShard(bytes: Uint8Array, manifest: Manifest, shardIndex: number): void {
  const shard = shardOf(manifest, shardIndex);
  if (bytes.byteLength !== shard.bytes)
    throw corrupt(manifest, shard, `it has ${bytes.byteLength} bytes, the manifest says ${shard.bytes}`);
  if (sha256(bytes) !== shard.sha256)
    throw corrupt(manifest, shard, 'its SHA-256 is not that of the manifest');
}

/**
 * The rows of a verified shard. `bytes` may lie in a SharedArrayBuffer. Never trusts the bytes: throws
 * `CorruptShardError` (other bytes, columns, types or counts than the manifest says), `LabelOutOfRangeError` or
 * `NotFiniteError`, each saying which shard and, for a value, which row and source row.
 */
export function decodeShard(bytes: Uint8Array, manifest: Manifest, shardIndex: number): DecodedShard {
  verifyShard(bytes, manifest, shardIndex);
  const shard = shardOf(manifest, shardIndex);
  let decoded: DecodedShard;
  try {
    decoded = decode(bytes, shard.rows, manifest);
  } catch (error) {
    if (error instanceof Misfit) throw corrupt(manifest, shard, error.message);
    if (error instanceof IhvpError) throw error;
    throw corrupt(manifest, shard, 'it is no Arrow IPC file', error);
  }
  checkValues(decoded, manifest, shard);
  return decoded;
}

/** What the file holds is not what the manifest says. */
class Misfit extends Error {}

function decode(bytes: Uint8Array, rows: number, manifest: Manifest): DecodedShard {
  const [batch, ...more] = readArrowFile(bytes);
  if (more.length > 0) throw new Misfit('it has several record batches');
  if (batch?.numRows !== rows)
    throw new Misfit(`it has ${batch?.numRows ?? 0} rows, the manifest says ${rows}`);
  const column = (name: string): Data => {
    const data = batch.getChild(name)?.data[0];
    if (data?.length !== rows) throw new Misfit(`it has no column "${name}" of ${rows} rows`);
    return data;
  };
  return {
    features: floats(column('features'), 'features', rows, manifest.features.width, true),
    labels: labelsOf(column('label'), rows, manifest.labels),
    ...(manifest.weights && { weights: values(column('weight'), 'weight', 'float32', Float32Array, rows) }),
    rows,
    sourceRows: sourceRowsOf(column('row'), rows),
  };
}

function labelsOf(column: Data, rows: number, labels: Labels): LabelArray {
  if (labels.kind === 'class') return values(column, 'label', 'int32', Int32Array, rows);
  return floats(column, 'label', rows, labels.width, DataType.isFixedSizeList(column.type));
}

function floats(column: Data, name: string, rows: number, width: number, isList: boolean): Float32Array {
  if (!isList) {
    if (width !== 1)
      throw new Misfit(
        `column "${name}" is ${Type[column.type.typeId]}, not FixedSizeList<float32>[${width}]`,
      );
    return values(column, name, 'float32', Float32Array, rows);
  }
  const child = column.children[0];
  if (!DataType.isFixedSizeList(column.type) || column.type.listSize !== width || !child)
    throw new Misfit(`column "${name}" is ${Type[column.type.typeId]}, not FixedSizeList<float32>[${width}]`);
  noNulls(column, name);
  return values(child, name, 'float32', Float32Array, rows * width);
}

function sourceRowsOf(column: Data, rows: number): Int32Array | BigInt64Array {
  if (column.values instanceof BigInt64Array) return values(column, 'row', 'int64', BigInt64Array, rows);
  return values(column, 'row', 'int32 or int64', Int32Array, rows);
}

function values<T extends Int32Array | Float32Array | BigInt64Array>(
  data: Data,
  name: string,
  typeName: string,
  ArrayType: new (length: number) => T,
  length: number,
): T {
  const array: unknown = data.values;
  if (!(array instanceof ArrayType))
    throw new Misfit(`column "${name}" is ${Type[data.type.typeId]}, not ${typeName}`);
  if (data.length !== length || array.length < length) throw new Misfit(`column "${name}" ends early`);
  noNulls(data, name);
  return array.subarray(0, length) as T;
}

function noNulls(data: Data, name: string): void {
  if (data.nullCount !== 0) throw new Misfit(`column "${name}" has nulls`);
}

function checkValues(decoded: DecodedShard, manifest: Manifest, shard: Shard): void {
  const { labels } = decoded;
  const at = (row: number) => {
    const sourceRow = Number(decoded.sourceRows[row]);
    return {
      text: `row ${row} of shard ${manifest.name}/${shard.name} (source row ${sourceRow})`,
      details: { dataset: manifest.name, shard: shard.name, row, sourceRow },
    };
  };
  const refuse = (array: Float32Array, width: number, what: string) => {
    const index = firstNotFinite(array);
    if (index < 0) return;
    const { text, details } = at(Math.floor(index / width));
    throw new NotFiniteError(`${array[index]} in ${text}, ${what} ${index % width}`, {
      hint: 'remove or fill in such rows and import the dataset again',
      details: { ...details, [what]: index % width },
    });
  };
  refuse(decoded.features, manifest.features.width, 'feature');
  if (decoded.weights) {
    refuse(decoded.weights, 1, 'weight');
    const negative = decoded.weights.findIndex((weight) => weight < 0);
    if (negative >= 0) throw corrupt(manifest, shard, `the weight of ${at(negative).text} is negative`);
  }
  if (labels instanceof Float32Array) return refuse(labels, labelWidth(manifest.labels), 'label');
  const classes = manifest.labels.kind === 'class' ? manifest.labels.classes : 0;
  const row = labels.findIndex((id) => id < 0 || id >= classes);
  if (row < 0) return;
  const { text, details } = at(row);
  throw new LabelOutOfRangeError(
    `class ${labels[row]} in ${text}; the dataset has classes 0 to ${classes - 1}`,
    {
      details: { ...details, label: labels[row] },
    },
  );
}

function shardOf(manifest: Manifest, index: number): Shard {
  const shard = manifest.shards[index];
  if (!shard)
    throw new RangeError(
      `dataset "${manifest.name}" has ${manifest.shards.length} shards, no shard ${index}`,
    );
  return shard;
}

function corrupt(manifest: Manifest, shard: Shard, what: string, cause?: unknown): CorruptShardError {
  return new CorruptShardError(`shard ${manifest.name}/${shard.name} is damaged: ${what}`, {
    hint: 'import the dataset again with --replace',
    details: { dataset: manifest.name, shard: shard.name },
    ...(cause !== undefined && { cause }),
  });
}
