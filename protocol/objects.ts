import { createHash } from 'node:crypto';
import type { NatsConnection } from '@nats-io/nats-core';
import { Objm, setSha256Backend, type ObjectStore } from '@nats-io/obj';
import type { StoredFile } from './jobs.js';

// The client's default is a hash in JavaScript, at a tenth of the speed.
setSha256Backend('native');

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A JetStream object store: named byte arrays, each written whole or not at all. */
export class Objects {
  #store: ObjectStore;

  private constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** Opens the bucket, made on first use. */
  static async open(nc: NatsConnection, bucket: string): Promise<Objects> {
    return new Objects(await new Objm(nc).create(bucket));
  }

  async put(name: string, bytes: Uint8Array): Promise<StoredFile> {
    await this.#store.putBlob({ name, options: { max_chunk_size: 512 * 1024 } }, bytes);
    return { name, bytes: bytes.byteLength, sha256: sha256(bytes) };
  }

  /** The object's bytes, or null where there is none. */
  async get(name: string): Promise<Uint8Array | null> {
    return this.#store.getBlob(name);
  }

  async delete(name: string): Promise<void> {
    if (await this.#store.info(name)) await this.#store.delete(name);
  }

  /** Names of the objects that begin with `prefix`, sorted. */
  async list(prefix = ''): Promise<string[]> {
    const all = await this.#store.list();
    return all
      .filter((object) => !object.deleted && object.name.startsWith(prefix))
      .map((object) => object.name)
      .sort();
  }
}
