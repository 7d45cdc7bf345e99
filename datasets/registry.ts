import type { ObjectStore } from '@nats-io/obj';
import { type Manifest, manifestSchema } from '../protocol/dataset.js';
import { BadRequestError, UnknownDatasetError } from '../protocol/errors.js';
import { getObject, putObject } from './stores/object-store.js';

/**
 * The datasets that a farm knows: one object per manifest, in a bucket of its own. (An object, not a KV entry: the
 * manifest of a large dataset exceeds the largest message.)
 */
export class DatasetRegistry {
  constructor(private readonly bucket: ObjectStore) {}

  /** A manifest of the same name is replaced. */
  register(manifest: Manifest): Promise<void> {
    return putObject(this.bucket, manifest.name, encodeManifest(manifest));
  }

  async find(name: string): Promise<Manifest | undefined> {
    const bytes = await getObject(this.bucket, name);
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
  async names(): Promise<string[]> {
    return (await this.bucket.list()).map(({ name }) => name).sort();
  }

  async list(): Promise<Manifest[]> {
    const manifests: Manifest[] = [];
    for (const name of await this.names()) {
      const manifest = await this.find(name);
      if (manifest) manifests.push(manifest);
    }
    return manifests;
  }

  async remove(name: string): Promise<void> {
    await this.bucket.delete(name);
  }
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(manifest, undefined, 2) + '\n');
}

/** Throws `BadRequestError` naming `what` it is and the fields that are wrong. */
export function parseManifest(bytes: Uint8Array, what: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new BadRequestError(`${what} is no JSON`, { cause: error });
  }
  const parsed = manifestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new BadRequestError(`${what}, ${issue.path.join('.')}: ${issue.message}`);
}
