import {
  Field,
  FixedSizeList,
  Float32,
  Int32,
  Int64,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  tableToIPC,
  type Data,
} from 'apache-arrow';
import type { Labels } from '../protocol/dataset.js';
import { BadFileError, NotFiniteError } from '../protocol/errors.js';
import { firstNotFinite, labelArray, labelWidth } from './rows.js';
import type { ShuffledBatch } from './shuffle.js';

/** Bytes of a shard when the user does not say how many rows. */
const shardBytes = 12.8e6;

/** Rows of a shard of about 12.8 MB: 4,000 for MNIST. */
export function defaultShardRows(width: number, labels: Labels): number {
  return Math.max(1, Math.round(shardBytes / (4 * (width + labelWidth(labels) + 1))));
}

/** Sizes of ⌈rows / shardRows⌉ shards that differ by at most one row, the larger ones first. */
export function shardSizes(rows: number, shardRows: number): number[] {
  const count = Math.ceil(rows / shardRows);
  const small = Math.floor(rows / count);
  return Array.from({ length: count }, (_, index) => small + (index < rows % count ? 1 : 0));
}

/** The rows regrouped into shards of these sizes, encoded. `weight` is the sum of a shard's weights. Throws `NotFiniteError` on NaN or ±Inf, `BadFileError` on a weight < 0. */
export async function* encodeShards(
  batches: AsyncIterable<ShuffledBatch>,
  sizes: readonly number[],
  width: number,
  labels: Labels,
): AsyncGenerator<{ bytes: Uint8Array; rows: number; weight: number }> {
  const values = labelWidth(labels);
  let shard: ShuffledBatch | undefined;
  let filled = 0;
  let index = 0;
  for await (const batch of batches) {
    for (let from = 0; from < batch.rows;) {
      const rows = sizes[index]!;
      shard ??= emptyShard(rows, width, labels, batch.weights !== undefined);
      const to = Math.min(batch.rows, from + rows - filled);
      shard.features.set(batch.features.subarray(from * width, to * width), filled * width);
      shard.labels.set(batch.labels.subarray(from * values, to * values), filled * values);
      if (batch.weights) shard.weights?.set(batch.weights.subarray(from, to), filled);
      shard.sourceRows.set(batch.sourceRows.subarray(from, to), filled);
      filled += to - from;
      from = to;
      if (filled < rows) continue;
      const weight = shard.weights?.reduce((sum, value) => sum + value, 0) ?? rows;
      yield { bytes: encodeShard(shard, width, labels), rows, weight };
      shard = undefined;
      filled = 0;
      index++;
    }
  }
}

function emptyShard(rows: number, width: number, labels: Labels, weighted: boolean): ShuffledBatch {
  return {
    features: new Float32Array(rows * width),
    labels: labelArray(labels, rows),
    weights: weighted ? new Float32Array(rows) : undefined,
    rows,
    sourceRows: new Float64Array(rows),
  };
}

/** One shard as an Arrow IPC file of one record batch (the columns are those of `manifestSchema`). */
export function encodeShard(shard: ShuffledBatch, width: number, labels: Labels): Uint8Array {
  checkFinite('feature', shard.features, width, shard.sourceRows);
  if (shard.labels instanceof Float32Array)
    checkFinite('label', shard.labels, labelWidth(labels), shard.sourceRows);
  const { rows, weights } = shard;
  if (weights) checkWeights(weights, shard.sourceRows);
  const columns: Record<string, Data> = {
    features: vectors(shard.features, rows, width),
    label:
      shard.labels instanceof Int32Array
        ? makeData({ type: new Int32(), length: rows, nullCount: 0, data: shard.labels })
        : labelWidth(labels) === 1
          ? scalars(shard.labels)
          : vectors(shard.labels, rows, labelWidth(labels)),
    row: sourceRowColumn(shard.sourceRows),
    ...(weights && { weight: scalars(weights) }),
  };
  const schema = new Schema(Object.entries(columns).map(([name, data]) => new Field(name, data.type, false)));
  const children = Object.values(columns);
  const struct = makeData({ type: new Struct(schema.fields), length: rows, nullCount: 0, children });
  return tableToIPC(new Table([new RecordBatch(schema, struct)]), 'file');
}

function scalars(values: Float32Array) {
  return makeData({ type: new Float32(), length: values.length, nullCount: 0, data: values });
}

function vectors(values: Float32Array, rows: number, width: number) {
  const type = new FixedSizeList(width, new Field('item', new Float32(), false));
  return makeData({ type, length: rows, nullCount: 0, child: scalars(values) });
}

function sourceRowColumn(sourceRows: Float64Array): Data {
  const length = sourceRows.length;
  if (sourceRows.every((row) => row < 2 ** 31))
    return makeData({ type: new Int32(), length, nullCount: 0, data: Int32Array.from(sourceRows) });
  return makeData({ type: new Int64(), length, nullCount: 0, data: BigInt64Array.from(sourceRows, BigInt) });
}

function checkWeights(weights: Float32Array, sourceRows: Float64Array): void {
  checkFinite('weight', weights, 1, sourceRows);
  const index = weights.findIndex((weight) => weight < 0);
  if (index >= 0)
    throw new BadFileError(`weight ${weights[index]} in source row ${sourceRows[index]} is negative`, {
      details: { sourceRow: sourceRows[index] },
    });
}

function checkFinite(what: string, values: Float32Array, width: number, sourceRows: Float64Array): void {
  const index = firstNotFinite(values);
  if (index < 0) return;
  const sourceRow = sourceRows[Math.floor(index / width)]!;
  const column = index % width;
  throw new NotFiniteError(`${values[index]} in source row ${sourceRow}, ${what} ${column}`, {
    hint: 'remove or fill in such rows before the import',
    details: { sourceRow, [what]: column },
  });
}
