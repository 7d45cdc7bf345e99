import type { NatsConnection } from '@nats-io/nats-core';
import { type Manifest, manifestSchema } from '../protocol/dataset.js';
import { sha256 } from '../protocol/digest.js';
import { UnknownDatasetError } from '../protocol/errors.js';
import { Objects } from '../protocol/objects.js';
import { parseJson } from '../protocol/parse.js';
import type { Names } from '../protocol/subjects.js';

/**
 * The datasets that a farm knows: one object per manifest, in a bucket of its own. (An object, not a KV entry: the
 * manifest of a large dataset exceeds the largest message.)
 */
export class DatasetRegistry {
  private constructor(private readonly objects: Objects) {}

  static async open(nc: NatsConnection, names: Names): Promise<DatasetRegistry> {
    return new DatasetRegistry(await Objects.open(nc, names.stores.datasets));
  }

  /** A manifest of the same name is replaced. */
  async register(manifest: Manifest): Promise<void> {
    await this.objects.put(manifest.name, encodeManifest(manifest));
  }

  async find(name: string): Promise<Manifest | undefined> {
    const bytes = await this.objects.get(name);
    return bytes && parseManifest(bytes, `the manifest of dataset "${name}"`);
  }

  /** Throws `UnknownDatasetError`. */
  async get(name: string): Promise<Manifest> {
    const manifest = await this.find(name);
    if (manifest) return manifest;
    const known = await this.names();
    throw new UnknownDatasetError(`there is no dataset "${name}"`, {
      hint:
        known.length === 0
          ? 'import one: ihvp dataset import mnist'
          : `known are ${known.slice(0, 10).join(', ')}${known.length > 10 ? ' …' : ''}`,
      details: { name },
    });
  }

  /** Sorted. */
  names(): Promise<string[]> {
    return this.objects.list();
  }

  async list(): Promise<Manifest[]> {
    const manifests: Manifest[] = [];
    for (const name of await this.names()) {
      const manifest = await this.find(name);
      if (manifest) manifests.push(manifest);
    }
    return manifests;
  }

  remove(name: string): Promise<void> {
    return this.objects.delete(name);
  }
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(manifest, undefined, 2) + '\n');
}

/** Throws `BadRequestError` naming `what` it is and the fields that are wrong. */
export function parseManifest(bytes: Uint8Array, what: string): Manifest {
  return parseJson(manifestSchema, bytes, what);
}

/** Names exactly these contents: shards, labels, order of rows. */
export function manifestDigest(manifest: Manifest): string {
  return sha256(encodeManifest(manifest));
}
