import { uniformInt } from 'pure-rand/distribution/uniformInt';
import type { Labels } from '../protocol/dataset.js';
import { openBuckets } from './bucket-file.js';
import { generator, permutation, type RandomGenerator } from '../protocol/random.js';
import {
  labelArray,
  labelWidth,
  type LabelArray,
  type RowBatch,
  rowsPerBatch,
  type RowSource,
} from './rows.js';

/** Rows in random order, each with the source row it came from. */
export interface ShuffledBatch {
  features: Float32Array;
  labels: LabelArray;
  weights?: Float32Array | undefined;
  rows: number;
  sourceRows: Float64Array;
}

/** Buckets (and so open files) of one level. */
const maxBuckets = 128;
const defaultMemory = 64 * 2 ** 20;

/**
 * The rows of `source` in uniformly random order, in about `memory` bytes. Each row goes to a random bucket file; each
 * bucket is then shuffled in memory, or by the same method again if it is still too large (Rao 1961, Sandelius 1962).
 * The order depends only on the seed, the rows and `memory`, not on the sizes of the batches that come in.
 * Bucket files are unlinked as soon as they are open, so that nothing is left behind however the process ends.
 */
export async function* shuffle(
  source: RowSource,
  seed: number,
  memory = defaultMemory,
): AsyncGenerator<ShuffledBatch> {
  const layout = new RecordLayout(source.width, source.labels, source.weighted ?? false);
  const random = generator(seed);
  for await (const { words, order } of shuffleRecords(
    packed(source, layout),
    source.rows,
    layout,
    random,
    memory,
  )) {
    const step = rowsPerBatch(source.width);
    for (let from = 0; from < order.length; from += step)
      yield layout.unpack(words, order.subarray(from, from + step));
  }
}

/**
 * One row as 32-bit words: source row (low, high), label, weight if there are any, features. The words are bits, never read as numbers, so
 * that every float passes unchanged.
 */
class RecordLayout {
  readonly words: number;
  private readonly labelWords: number;
  /** Where the features begin. */
  private readonly head: number;

  constructor(
    private readonly width: number,
    private readonly labels: Labels,
    private readonly weighted: boolean,
  ) {
    this.labelWords = labelWidth(labels);
    this.head = 2 + this.labelWords + (weighted ? 1 : 0);
    this.words = this.head + width;
  }

  pack({ features, labels, weights, rows, firstRow }: RowBatch): Uint32Array {
    const { words, labelWords, head, width } = this;
    const out = new Uint32Array(rows * words);
    const featureBits = bits(features);
    const labelBits = bits(labels);
    const weightBits = weights && bits(weights);
    for (let row = 0, at = 0; row < rows; row++, at += words) {
      out[at] = (firstRow + row) % 2 ** 32;
      out[at + 1] = Math.floor((firstRow + row) / 2 ** 32);
      out.set(labelBits.subarray(row * labelWords, (row + 1) * labelWords), at + 2);
      if (weightBits) out[at + head - 1] = weightBits[row]!;
      out.set(featureBits.subarray(row * width, (row + 1) * width), at + head);
    }
    return out;
  }

  unpack(records: Uint32Array, order: Int32Array): ShuffledBatch {
    const { words, labelWords, head, width } = this;
    const rows = order.length;
    const features = new Float32Array(rows * width);
    const labels = labelArray(this.labels, rows);
    const weights = this.weighted ? new Float32Array(rows) : undefined;
    const sourceRows = new Float64Array(rows);
    const featureBits = bits(features);
    const labelBits = bits(labels);
    const weightBits = weights && bits(weights);
    for (let row = 0; row < rows; row++) {
      const at = order[row]! * words;
      sourceRows[row] = records[at]! + records[at + 1]! * 2 ** 32;
      labelBits.set(records.subarray(at + 2, at + 2 + labelWords), row * labelWords);
      if (weightBits) weightBits[row] = records[at + head - 1]!;
      featureBits.set(records.subarray(at + head, at + words), row * width);
    }
    return { features, labels, weights, rows, sourceRows };
  }
}

function bits(array: Float32Array | Int32Array): Uint32Array {
  return new Uint32Array(array.buffer, array.byteOffset, array.length);
}

async function* packed(source: RowSource, layout: RecordLayout): AsyncGenerator<Uint32Array> {
  for await (const batch of source) yield layout.pack(batch);
}

/** Whole buckets that fit in memory, each with the order in which its records are to be read. */
async function* shuffleRecords(
  records: AsyncIterable<Uint32Array>,
  rows: number,
  layout: RecordLayout,
  random: RandomGenerator,
  memory: number,
): AsyncGenerator<{ words: Uint32Array; order: Int32Array }> {
  const bytes = rows * layout.words * 4;
  if (bytes <= memory || rows <= 1) {
    const words = new Uint32Array(rows * layout.words);
    let at = 0;
    for await (const chunk of records) {
      words.set(chunk, at);
      at += chunk.length;
    }
    yield { words, order: permutation(rows, random) };
    return;
  }
  // Half the budget for a bucket, the other half for the write buffers.
  const count = Math.min(maxBuckets, Math.ceil(bytes / (memory / 2)));
  const bufferRecords = Math.max(1, Math.floor(Math.min(2 ** 20, memory / 2 / count) / (layout.words * 4)));
  const buckets = await openBuckets(count, bufferRecords * layout.words);
  try {
    for await (const chunk of records)
      for (let at = 0; at < chunk.length; at += layout.words) {
        const bucket = buckets[uniformInt(random, 0, count - 1)]!;
        if (bucket.isFull(layout.words)) await bucket.flush();
        bucket.add(chunk.subarray(at, at + layout.words));
      }
    for (const bucket of buckets) await bucket.flush();
    for (const bucket of buckets) {
      yield* shuffleRecords(bucket.read(layout.words), bucket.words / layout.words, layout, random, memory);
      await bucket.close();
    }
  } finally {
    for (const bucket of buckets) await bucket.close();
  }
}
