import type { MessagePort } from 'node:worker_threads';
import { decodeShard, type DecodedShard } from '../datasets/shard-reader.js';
import type { Manifest } from '../protocol/dataset.js';
import { fromWire } from '../protocol/errors.js';
import type { SharedBytes } from './shard-cache.js';
import type { ShardRequest, ShardResponse } from './thread-messages.js';

/** Decoded shards that a thread keeps at hand: the one it works on and the one before. */
const keptShards = 2;

/** An arithmetic thread's way to the shards: asks the main thread, checks and decodes. */
export class ShardClient {
  #port: MessagePort;
  #next = 0;
  #waiting = new Map<number, { resolve: (bytes: SharedBytes) => void; reject: (error: Error) => void }>();
  #decoded = new Map<string, DecodedShard>();
  /** A shard that was asked for before it is needed. */
  #ahead: { key: string; bytes: Promise<SharedBytes> } | undefined;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (response: ShardResponse) => {
      const waiting = this.#waiting.get(response.request);
      this.#waiting.delete(response.request);
      if ('error' in response) waiting?.reject(fromWire(response.error));
      else waiting?.resolve(response.bytes);
    });
  }

  /** @throws CorruptShardError, NotFiniteError, LabelOutOfRangeError, or what fetching it threw */
  async get(manifest: Manifest, digest: string, shard: number): Promise<DecodedShard> {
    const key = `${digest}/${shard}`;
    const known = this.#decoded.get(key);
    if (known) return known;
    const ahead = this.#ahead?.key === key ? this.#ahead.bytes : undefined;
    if (ahead) this.#ahead = undefined;
    const decoded = decodeShard(await (ahead ?? this.#ask(digest, shard)), manifest, shard);
    this.#decoded.set(key, decoded);
    if (this.#decoded.size > keptShards) this.#decoded.delete(this.#decoded.keys().next().value!);
    return decoded;
  }

  /** Asks for a shard that `get` will be called for soon, so that it is on its way while this thread computes. */
  prefetch(digest: string, shard: number): void {
    const key = `${digest}/${shard}`;
    if (this.#decoded.has(key) || this.#ahead?.key === key) return;
    const bytes = this.#ask(digest, shard);
    bytes.catch(() => {}); // `get` throws it.
    this.#ahead = { key, bytes };
  }

  #ask(digest: string, shard: number): Promise<SharedBytes> {
    const request: ShardRequest = { request: this.#next++, digest, shard };
    return new Promise((resolve, reject) => {
      this.#waiting.set(request.request, { resolve, reject });
      this.#port.postMessage(request);
    });
  }
}
