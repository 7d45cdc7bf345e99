import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Manifest, manifestSchema } from '../../protocol/dataset.js';
import {
  AlreadyExistsError,
  BadRequestError,
  CorruptShardError,
  NotFiniteError,
  UnknownDatasetError,
} from '../../protocol/errors.js';
import { importDataset, removeDataset } from '../../datasets/import.js';
import { DatasetRegistry } from '../../datasets/registry.js';
import type { RowSource } from '../../datasets/rows.js';
import { fetchShard, openStore } from '../../datasets/stores/open-store.js';
import { FileStore } from '../../datasets/stores/file-store.js';
import { gaussianClusters } from '../../datasets/synthetic.js';
import { readShards, rejection, withFolder } from '../support/datasets.js';
import { Objects } from '../../protocol/objects.js';
import { startTestBroker, type TestBroker } from '../support/broker.js';

const source = gaussianClusters({ rows: 103, width: 5, seed: 1 });
const again = { shuffleSeed: 7, shardRows: 25 };

let nats: TestBroker;
let shards: Objects;
let registry: DatasetRegistry;
beforeAll(async () => {
  nats = await startTestBroker();
  shards = await Objects.open(nats.connection, nats.names.stores.shards);
  registry = await DatasetRegistry.open(nats.connection, nats.names);
});
afterAll(() => nats.stop());

/** The same test in a file folder and in the object store. */
function inEachStore(test: (location: string) => Promise<void>) {
  return async () => {
    await test('nats:');
    await withFolder((_, url) => test(`${url}data/`));
  };
}

/** The rows of `source`, then an error. */
function failingAfter(rows: RowSource, error: Error): RowSource {
  return {
    ...rows,
    async *[Symbol.asyncIterator]() {
      yield* rows;
      await Promise.reject(error);
    },
  };
}

async function features(manifest: Manifest): Promise<Map<number, number[]>> {
  const byRow = new Map<number, number[]>();
  for (const shard of await readShards(openStore(manifest.location, manifest.name, shards), manifest))
    for (let row = 0; row < shard.rows; row++)
      byRow.set(Number(shard.sourceRows[row]), [
        ...shard.features.subarray(row * 5, row * 5 + 5),
        shard.labels[row]!,
      ]);
  return byRow;
}

describe('importDataset', () => {
  it(
    'importDataset: every row once, in balanced shards that the manifest vouches for',
    inEachStore(async (location) => {
      const store = openStore(location, 'clusters', shards);
      const progress: number[] = [];
      const onProgress = ({ rows }: { rows: number }) => progress.push(rows);
      const manifest = await importDataset({
        source,
        name: 'clusters',
        store,
        registry,
        ...again,
        onProgress,
      });
      expect(manifestSchema.parse(manifest)).toEqual(manifest);
      expect(manifest).toMatchObject({
        rows: 103,
        features: { width: 5 },
        labels: source.labels,
        shuffleSeed: 7,
      });
      expect(manifest.shards.map((shard) => shard.rows)).toEqual([21, 21, 21, 20, 20]);
      expect(progress).toEqual([21, 42, 63, 83, 103]);
      const byRow = await features(manifest);
      expect(byRow.size).toBe(103);
      for (const [row, values] of byRow)
        expect(values).toEqual([...source.features.subarray(row * 5, row * 5 + 5), source.values[row]!]);
      expect(await registry.get('clusters')).toEqual(manifest);
      expect((await store.list()).sort()).toEqual(
        ['manifest.json', ...manifest.shards.map(({ name }) => name)].sort(),
      );

      await removeDataset('clusters', store, registry);
      expect(await store.list()).toEqual([]);
      expect(await registry.names()).toEqual([]);
    }),
  );

  it('importDataset: the same seed gives the same shards, another seed others', async () => {
    const hashes = (shuffleSeed: number) =>
      withFolder(async (_, url) => {
        const options = { source, name: 'clusters', store: new FileStore(url), shuffleSeed, shardRows: 40 };
        return (await importDataset(options)).shards.map(({ sha256 }) => sha256);
      });
    expect(await hashes(1)).toEqual(await hashes(1));
    expect(await hashes(1)).not.toEqual(await hashes(2));
  });

  it(
    'importDataset: a taken name is refused, and replaced if asked',
    inEachStore(async (location) => {
      const store = openStore(location, 'taken', shards);
      const options = { source, name: 'taken', store, registry, ...again };
      await importDataset(options);
      expect(await rejection(importDataset(options))).toBeInstanceOf(AlreadyExistsError);
      const other = gaussianClusters({ rows: 30, width: 5, seed: 2 });
      const manifest = await importDataset({ ...options, source: other, replace: true });
      expect((await features(manifest)).size).toBe(30);
      expect(await store.list()).toHaveLength(1 + manifest.shards.length);
      await removeDataset('taken', store, registry);
    }),
  );

  it(
    'importDataset: a failure leaves nothing of a new dataset, and all of the old one',
    inEachStore(async (location) => {
      const store = openStore(location, 'failing', shards);
      const features = source.features.slice();
      features[5 * 42] = NaN;
      const nan = { ...source, [Symbol.asyncIterator]: nanRows(features) };
      const broken = { source: nan, name: 'failing', store, registry, ...again };
      expect(await rejection(importDataset(broken))).toMatchObject({
        code: NotFiniteError.code,
        message: 'NaN in source row 42, feature 0',
      });
      expect([await store.list(), await registry.names()]).toEqual([[], []]);

      const old = await importDataset({ ...broken, source });
      const late = failingAfter(source, new Error('disk gone'));
      for (const failing of [broken, { ...broken, source: late }])
        await rejection(importDataset({ ...failing, shuffleSeed: 8, replace: true }));
      expect(await registry.get('failing')).toEqual(old);
      expect(await readShards(store, old)).toHaveLength(5);
      expect(await store.list()).toHaveLength(6);
      await removeDataset('failing', store, registry);
    }),
  );

  it('importDataset: what a killed import left is removed by the next; foreign files stay', async () => {
    await withFolder(async (folder, url) => {
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, 'shard-00000-0badc0de.arrow'), 'half');
      await writeFile(join(folder, 'shard-00001-0badc0de.arrow.part'), 'half');
      await writeFile(join(folder, 'notes.txt'), 'mine');
      const store = new FileStore(url);
      const manifest = await importDataset({ source, name: 'clusters', store, ...again });
      const names = manifest.shards.map(({ name }) => name);
      expect((await readdir(folder)).sort()).toEqual(['manifest.json', 'notes.txt', ...names].sort());
      expect(JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'))).toEqual(manifest);
      expect(
        await rejection(importDataset({ source, name: 'other', store, ...again, replace: true })),
      ).toBeInstanceOf(AlreadyExistsError);
      await removeDataset('clusters', store);
      expect(await readdir(folder)).toEqual(['notes.txt']);
    });
  });
});

function nanRows(values: Float32Array): RowSource[typeof Symbol.asyncIterator] {
  return async function* () {
    for await (const batch of source)
      yield { ...batch, features: values.slice(batch.firstRow * 5, (batch.firstRow + batch.rows) * 5) };
  };
}

describe('fetchShard', () => {
  it(
    'fetchShard: a missing shard is named',
    inEachStore(async (location) => {
      const store = openStore(location, 'missing', shards);
      const manifest = await importDataset({ source, name: 'missing', store, ...again });
      await store.remove(manifest.shards[2]!.name);
      const error = await rejection(fetchShard(store, manifest, 2));
      expect(error).toBeInstanceOf(CorruptShardError);
      expect((error as Error).message).toContain(`missing/${manifest.shards[2]!.name} is missing`);
      await removeDataset('missing', store);
    }),
  );
});

describe('DatasetRegistry', () => {
  it('DatasetRegistry: an unknown dataset is refused with the names of the known', async () => {
    const manifest = await withFolder((_, url) =>
      importDataset({ source, name: 'known', store: new FileStore(url), registry, ...again }),
    );
    expect((await registry.list()).map(({ name }) => name)).toEqual(['known']);
    const error = await rejection(registry.get('unknown'));
    expect(error).toBeInstanceOf(UnknownDatasetError);
    expect(error).toMatchObject({ hint: 'known are known' });
    await registry.remove(manifest.name);
    expect(await rejection(registry.get('known'))).toMatchObject({
      hint: 'import one: ihvp dataset import mnist',
    });
  });

  it('DatasetRegistry: a manifest of several MB, and one that is none', async () => {
    const manifest = await withFolder((_, url) =>
      importDataset({ source, name: 'large', store: new FileStore(url), ...again }),
    );
    const large = { ...manifest, shards: Array<Manifest['shards'][0]>(20_000).fill(manifest.shards[0]!) };
    await registry.register(large);
    expect((await registry.get('large')).shards).toHaveLength(20_000);
    const bucket = await Objects.open(nats.connection, nats.names.stores.datasets);
    await bucket.put('bad', new TextEncoder().encode('{"format":"ihvp-dataset","version":2}'));
    expect(await rejection(registry.get('bad'))).toBeInstanceOf(BadRequestError);
    await bucket.put('bad', Uint8Array.of(1, 2, 3));
    expect(await rejection(registry.get('bad'))).toBeInstanceOf(BadRequestError);
  });
});
