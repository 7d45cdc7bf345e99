import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Manifest } from '../../protocol/dataset.js';
import type { RowSource } from '../../datasets/rows.js';
import { readMnist } from '../../datasets/read-mnist.js';
import { fromMemory, type MemoryRows } from '../../datasets/synthetic.js';
import { decodeShard, type DecodedShard } from '../../datasets/shard-reader.js';
import { fetchShard } from '../../datasets/stores/open-store.js';
import type { ShardStore } from '../../datasets/stores/shard-store.js';

/** Runs `use` with a folder that is removed afterwards. */
export async function withFolder<T>(use: (folder: string, url: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'ihvp-test-'));
  try {
    return await use(folder, `${pathToFileURL(folder).href}/`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What `promise` rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('no error was thrown');
}

/** All rows of a source, [features, labels] of each. */
export async function allRows(
  source: RowSource,
): Promise<{ features: number[]; labels: number[]; row: number }[]> {
  const rows = [];
  for await (const batch of source) {
    const width = batch.features.length / batch.rows;
    const perLabel = batch.labels.length / batch.rows;
    for (let row = 0; row < batch.rows; row++)
      rows.push({
        features: [...batch.features.subarray(row * width, (row + 1) * width)],
        labels: [...batch.labels.subarray(row * perLabel, (row + 1) * perLabel)],
        row: batch.firstRow + row,
      });
  }
  return rows;
}

export async function readShards(store: ShardStore, manifest: Manifest): Promise<DecodedShard[]> {
  const shards = [];
  for (let index = 0; index < manifest.shards.length; index++)
    shards.push(decodeShard(await fetchShard(store, manifest, index), manifest, index));
  return shards;
}

/** The first `count` digits of MNIST's training set, as rows in memory. */
export async function firstDigits(count: number): Promise<MemoryRows> {
  const features = new Float32Array(count * 784);
  const labels = new Int32Array(count);
  for await (const batch of await readMnist('train')) {
    const taken = Math.min(batch.rows, count - batch.firstRow);
    features.set(batch.features.subarray(0, taken * 784), batch.firstRow * 784);
    labels.set((batch.labels as Int32Array).subarray(0, taken), batch.firstRow);
    if (batch.firstRow + batch.rows >= count) break;
  }
  return fromMemory(features, labels, { kind: 'class', classes: 10 });
}
