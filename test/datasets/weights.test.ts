import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { Float32, Int32, Table, tableToIPC, vectorFromArray } from 'apache-arrow';
import { BadFileError, CorruptShardError, NotFiniteError } from '../../protocol/errors.js';
import { importDataset } from '../../datasets/import.js';
import { readArrow } from '../../datasets/read-arrow.js';
import { readCsv } from '../../datasets/read-csv.js';
import type { RowSource } from '../../datasets/rows.js';
import { decodeShard } from '../../datasets/shard-reader.js';
import { encodeShard } from '../../datasets/shard-writer.js';
import { shuffle } from '../../datasets/shuffle.js';
import { FileStore } from '../../datasets/stores/file-store.js';
import { fromMemory } from '../../datasets/synthetic.js';
import { sha256 } from '../../protocol/digest.js';
import { readShards, rejection, withFolder } from '../support/datasets.js';

const real = { kind: 'real', width: 1 } as const;

/** Row i has the feature i, the label −i and the weight i/4. */
function numbered(rows: number): RowSource {
  const of = (value: (row: number) => number) => Float32Array.from({ length: rows }, (_, row) => value(row));
  const options = { batchRows: 7, weights: of((row) => row / 4) };
  return fromMemory(
    of((row) => row),
    of((row) => -row),
    real,
    options,
  );
}

async function batchesOf(source: RowSource) {
  const batches = [];
  for await (const batch of source) batches.push(batch);
  return batches;
}

const importInto = (url: string, source: RowSource) =>
  importDataset({ source, name: 'weighted', store: new FileStore(url), shuffleSeed: 3, shardRows: 20 });

describe('row weights', () => {
  it('readCsv and readArrow: a column of weights is no feature', async () => {
    await withFolder(async (folder) => {
      const csv = join(folder, 'data.csv');
      await writeFile(csv, 'a,w,y,b\n1,0.5,0,2\n3,0,1,4\n');
      const arrow = join(folder, 'data.arrow');
      const table = new Table({
        a: vectorFromArray([1, 3], new Float32()),
        w: vectorFromArray([0.5, 0], new Float32()),
        y: vectorFromArray([0, 1], new Int32()),
        b: vectorFromArray([2, 4], new Float32()),
      });
      await writeFile(arrow, tableToIPC(table, 'file'));
      const headless = join(folder, 'headless.csv');
      await writeFile(headless, '1,0.5,0,2\n3,0,1,4\n');
      const named = { label: 'y', weight: 'w' };
      for (const source of [
        await readCsv(csv, named),
        await readArrow(arrow, named),
        await readCsv(headless, { label: '2', weight: '1' }),
      ]) {
        expect(source).toMatchObject({ rows: 2, width: 2, weighted: true });
        const [batch] = await batchesOf(source);
        expect([...batch!.features]).toEqual([1, 2, 3, 4]);
        expect([...batch!.weights!]).toEqual([0.5, 0]);
        expect([...batch!.labels]).toEqual([0, 1]);
      }
      for (const failure of [
        readCsv(csv, { label: 'y', weight: 'no' }),
        readArrow(arrow, { label: 'y', weight: 'no' }),
      ])
        expect(await rejection(failure)).toMatchObject({
          message: expect.stringContaining('no column "no"'),
          hint: expect.stringContaining('--weight'),
        });
    });
  });

  it('shuffle: a weight stays with its row, in memory and through files', async () => {
    for (const memory of [2 ** 20, 500]) {
      const seen = [];
      for await (const batch of shuffle(numbered(300), 1, memory))
        for (const [row, sourceRow] of batch.sourceRows.entries()) {
          expect([batch.features[row], batch.labels[row], batch.weights![row]]).toEqual([
            sourceRow,
            -sourceRow,
            sourceRow / 4,
          ]);
          seen.push(sourceRow);
        }
      expect(new Set(seen).size).toBe(300);
    }
  });

  it('importDataset: the shards hold the weights, the manifest their sum', async () => {
    await withFolder(async (_, url) => {
      const manifest = await importInto(url, numbered(50));
      expect(manifest.weights).toEqual({ sum: (49 * 50) / 2 / 4 });
      const shards = await readShards(new FileStore(url), manifest);
      expect(shards).toHaveLength(3);
      for (const { weights, sourceRows, rows } of shards)
        for (let row = 0; row < rows; row++) expect(weights![row]).toBe(Number(sourceRows[row]) / 4);
    });
  });

  it('importDataset: refuses a negative weight, one that is not finite, and nothing but zeros', async () => {
    const weighted = (...weights: number[]) =>
      fromMemory(new Float32Array(2), new Float32Array(2), real, { weights: Float32Array.from(weights) });
    await withFolder(async (_, url) => {
      expect(await rejection(importInto(url, weighted(1, -1)))).toBeInstanceOf(BadFileError);
      expect(await rejection(importInto(url, weighted(1, NaN)))).toBeInstanceOf(NotFiniteError);
      expect(await rejection(importInto(url, weighted(0, 0)))).toBeInstanceOf(BadFileError);
      expect((await importInto(url, weighted(0, 2))).weights).toEqual({ sum: 2 });
    });
  });

  it('decodeShard: refuses a shard without the weights that the manifest tells of', async () => {
    await withFolder(async (_, url) => {
      const manifest = await importInto(url, numbered(10));
      const [shard] = await readShards(new FileStore(url), manifest);
      const sourceRows = Float64Array.from({ length: 10 }, (_, row) => Number(shard!.sourceRows[row]));
      const bytes = encodeShard({ ...shard!, weights: undefined, sourceRows }, 1, real);
      const replaced = { ...manifest.shards[0]!, bytes: bytes.length, sha256: sha256(bytes) };
      expect(() => decodeShard(bytes, { ...manifest, shards: [replaced] }, 0)).toThrow(CorruptShardError);
    });
  });
});
