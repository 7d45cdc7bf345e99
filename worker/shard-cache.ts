import type { Manifest } from '../protocol/dataset.js';

/** Bytes that all threads can read without a copy. */
export type SharedBytes = Uint8Array<SharedArrayBuffer>;

/** Fetches a shard and checks it against the manifest. */
export type FetchShard = (manifest: Manifest, shard: number) => Promise<Uint8Array>;

interface Entry {
  bytes: Promise<SharedBytes>;
  size: number;
}

/**
 * Verified shards in memory that all threads share, least recently used out first. `budget` bounds what the cache holds;
 * a thread keeps the shard it works on alive besides.
 */
export class ShardCache {
  #fetch: FetchShard;
  #budget: number;
  #entries = new Map<string, Entry>();
  usedBytes = 0;

  constructor(budget: number, fetch: FetchShard) {
    this.#budget = budget;
    this.#fetch = fetch;
  }

  /** Concurrent requests for a shard share one fetch; a failed one is forgotten, so that the next may try again. */
  get(manifest: Manifest, shard: number): Promise<SharedBytes> {
    const { sha256, bytes: size } = manifest.shards[shard]!;
    const known = this.#entries.get(sha256);
    if (known) {
      this.#entries.delete(sha256);
      this.#entries.set(sha256, known);
      return known.bytes;
    }
    const bytes = this.#fetch(manifest, shard).then(share);
    this.#entries.set(sha256, { bytes, size });
    this.usedBytes += size;
    bytes.catch(() => {
      if (this.#entries.get(sha256)?.bytes === bytes) this.#drop(sha256);
    });
    for (const [oldest] of this.#entries) {
      if (this.usedBytes <= this.#budget || oldest === sha256) break;
      this.#drop(oldest);
    }
    return bytes;
  }

  #drop(sha256: string): void {
    const entry = this.#entries.get(sha256);
    if (!entry) return;
    this.#entries.delete(sha256);
    this.usedBytes -= entry.size;
  }
}

function share(bytes: Uint8Array): SharedBytes {
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
  shared.set(bytes);
  return shared;
}
