import type { NatsConnection } from '@nats-io/nats-core';
import { Objm, setSha256Backend, type ObjectStore } from '@nats-io/obj';
import { answered } from './answered.js';
import { sha256 } from './digest.js';
import { CorruptShardError, TimeoutError } from './errors.js';
import type { StoredFile } from './jobs.js';

// The client's own SHA-256 in JavaScript would be the slowest part of every transfer.
setSha256Backend('native');

/** Bytes of a message; each is acknowledged before the next is sent. */
const chunkBytes = 512 * 1024;
/** How long a read waits for its next chunk. */
const stallMs = 15_000;

/** A JetStream object store: named byte arrays, each written whole or not at all. */
export class Objects {
  #store: ObjectStore;
  #name: string;

  private constructor(store: ObjectStore, bucket: string) {
    this.#store = store;
    this.#name = `object store ${bucket}`;
  }

  /** Opens the bucket, and makes it if it is not there. */
  static async open(nc: NatsConnection, bucket: string): Promise<Objects> {
    return new Objects(await answered(`object store ${bucket}`, new Objm(nc).create(bucket)), bucket);
  }

  async put(name: string, bytes: Uint8Array): Promise<StoredFile> {
    const meta = { name, options: { max_chunk_size: chunkBytes } };
    await answered(this.#name, this.#store.putBlob(meta, bytes));
    return { name, bytes: bytes.byteLength, sha256: sha256(bytes) };
  }

  /**
   * The object's bytes, in memory of their own, or undefined where there is none.
   * @throws CorruptShardError if the bytes are not those that were put; TimeoutError if they stop coming (the object was
   * replaced or removed while it was read, or the broker went away); BrokerError
   */
  async get(name: string): Promise<Uint8Array | undefined> {
    const object = await answered(this.#name, this.#store.get(name));
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

  /** No error if there is none. */
  async delete(name: string): Promise<void> {
    if (await answered(this.#name, this.#store.info(name)))
      await answered(this.#name, this.#store.delete(name));
  }

  /** Deletes the objects that are left out when the newest are kept, up to so many bytes. */
  async keepNewest(bytes: number): Promise<void> {
    const all = await answered(this.#name, this.#store.list());
    const newestFirst = all
      .filter((object) => !object.deleted)
      .sort((a, b) => Date.parse(b.mtime) - Date.parse(a.mtime));
    let kept = 0;
    for (const { name, size } of newestFirst) {
      kept += size;
      if (kept > bytes) await this.delete(name);
    }
  }

  /** Names of the objects that begin with `prefix`, sorted. */
  async list(prefix = ''): Promise<string[]> {
    return (await this.files(prefix)).map(({ name }) => name);
  }

  /** The objects whose names begin with `prefix`, sorted by name, as their records say. */
  async files(prefix = ''): Promise<StoredFile[]> {
    const all = await answered(this.#name, this.#store.list());
    return all
      .filter((object) => !object.deleted && object.name.startsWith(prefix))
      .map(({ name, size, digest }) => ({ name, bytes: size, sha256: hexadecimal(digest) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

/** Of a digest as the object store writes it, `SHA-256=` and base64. */
function hexadecimal(digest: string): string {
  return Buffer.from(digest.slice('SHA-256='.length), 'base64url').toString('hex');
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
