import { type ObjectStore, Objm, setSha256Backend } from '@nats-io/obj';
import type { NatsConnection } from '@nats-io/nats-core';
import { CorruptShardError, TimeoutError } from '../../protocol/errors.js';
import type { ShardStore } from './shard-store.js';

// The client's own SHA-256 in JavaScript would be the slowest part of every transfer.
setSha256Backend('native');

/** Bytes of a message; each is acknowledged before the next is sent. */
const chunkBytes = 512 * 1024;
/** How long a read waits for its next chunk. */
const stallMs = 15_000;

/** Opens the bucket, and makes it if it is not there. */
export function openBucket(connection: NatsConnection, bucket: string): Promise<ObjectStore> {
  return new Objm(connection).create(bucket);
}

export async function putObject(bucket: ObjectStore, name: string, bytes: Uint8Array): Promise<void> {
  await bucket.putBlob({ name, options: { max_chunk_size: chunkBytes } }, bytes);
}

/**
 * The whole object, or undefined. Throws `CorruptShardError` if its bytes are not those that were put, `TimeoutError`
 * if they stop coming (the object was replaced or removed while it was read, or the broker went away).
 */
export async function getObject(bucket: ObjectStore, name: string): Promise<Uint8Array | undefined> {
  const object = await bucket.get(name);
  if (!object) return undefined;
  // Its failures also arrive through the stream.
  object.error.catch(() => undefined);
  const bytes = new Uint8Array(object.info.size);
  const reader = object.data.getReader();
  let filled = 0;
  try {
    for (;;) {
      const { done, value } = await withTimeout(reader.read(), name);
      if (done) break;
      if (filled + value.length > bytes.length) throw new Error('longer than its record says');
      bytes.set(value, filled);
      filled += value.length;
    }
  } catch (error) {
    await reader.cancel().catch(() => undefined);
    if (error instanceof TimeoutError) throw error;
    throw new CorruptShardError(`object ${name} is damaged: ${String(error)}`, { cause: error });
  }
  if (filled !== bytes.length)
    throw new CorruptShardError(`object ${name} ends after ${filled} of ${bytes.length} bytes`);
  return bytes;
}

function withTimeout<T>(promise: Promise<T>, name: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new TimeoutError(`no bytes of object ${name} for ${stallMs / 1000} s`));
    }, stallMs);
    promise.then(resolve, reject).finally(() => {
      clearTimeout(timer);
    });
  });
}

/** A dataset in a JetStream Object Store that it shares with others: objects `<dataset>/<file>`. */
export class ObjectShardStore implements ShardStore {
  readonly location = 'nats:';

  constructor(
    private readonly bucket: ObjectStore,
    private readonly dataset: string,
  ) {}

  put(name: string, bytes: Uint8Array): Promise<void> {
    return putObject(this.bucket, `${this.dataset}/${name}`, bytes);
  }

  get(name: string): Promise<Uint8Array | undefined> {
    return getObject(this.bucket, `${this.dataset}/${name}`);
  }

  async remove(name: string): Promise<void> {
    await this.bucket.delete(`${this.dataset}/${name}`);
  }

  async list(): Promise<string[]> {
    const prefix = `${this.dataset}/`;
    const objects = await this.bucket.list();
    return objects.filter(({ name }) => name.startsWith(prefix)).map(({ name }) => name.slice(prefix.length));
  }
}
