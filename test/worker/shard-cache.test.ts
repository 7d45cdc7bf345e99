import { describe, expect, it } from '@jest/globals';
import type { Manifest } from '../../protocol/dataset.js';
import { ShardCache } from '../../worker/shard-cache.js';
import { rejection } from '../support/datasets.js';

/** Shards of 100 bytes. */
const manifest = (count: number): Manifest => ({
  format: 'ihvp-dataset',
  version: 1,
  name: 'd',
  location: 'nats:',
  rows: count,
  features: { width: 1 },
  labels: { kind: 'real', width: 1 },
  shuffleSeed: 0,
  shards: Array.from({ length: count }, (_, i) => ({
    name: `s${i}`,
    rows: 1,
    bytes: 100,
    sha256: String(i).padStart(64, '0'),
  })),
  source: '',
  created: new Date(0).toISOString(),
});

function cacheOf(budget: number, failing = new Set<number>()) {
  const fetched: number[] = [];
  const cache = new ShardCache(budget, (_, shard) => {
    fetched.push(shard);
    if (failing.has(shard)) return Promise.reject(new Error('not now'));
    return Promise.resolve(Uint8Array.from({ length: 100 }, () => shard));
  });
  return { cache, fetched, failing };
}

describe('ShardCache', () => {
  it('get: fetches a shard once, also for two who ask at once, into memory that threads share', async () => {
    const { cache, fetched } = cacheOf(1000);
    const shards = manifest(2);
    const [a, b] = await Promise.all([cache.get(shards, 1), cache.get(shards, 1)]);
    expect(a).toBe(b);
    expect(a.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect([...a]).toEqual(new Array<number>(100).fill(1));
    expect(await cache.get(shards, 1)).toBe(a);
    expect(fetched).toEqual([1]);
    expect(cache.usedBytes).toBe(100);
  });

  it('get: keeps to the budget, the least recently used out first; one larger than the budget is served', async () => {
    const { cache, fetched } = cacheOf(250);
    const shards = manifest(3);
    for (const shard of [0, 1, 0, 2]) await cache.get(shards, shard);
    expect(cache.usedBytes).toBe(200);
    await cache.get(shards, 0);
    expect(fetched).toEqual([0, 1, 2]);
    await cache.get(shards, 1);
    expect(fetched).toEqual([0, 1, 2, 1]);
    const tight = cacheOf(50);
    expect((await tight.cache.get(shards, 2)).length).toBe(100);
  });

  it('get: a failure is told to all who asked, forgotten, and no matter to the next', async () => {
    const { cache, fetched, failing } = cacheOf(1000, new Set([0]));
    const shards = manifest(1);
    const both = [rejection(cache.get(shards, 0)), rejection(cache.get(shards, 0))];
    for (const error of await Promise.all(both)) expect(error).toMatchObject({ message: 'not now' });
    expect(cache.usedBytes).toBe(0);
    failing.clear();
    expect((await cache.get(shards, 0)).length).toBe(100);
    expect(fetched).toEqual([0, 0]);
  });
});
