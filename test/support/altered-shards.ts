import { DatasetRegistry } from '../../datasets/registry.js';
import type { Client } from '../../protocol/client.js';
import type { Manifest } from '../../protocol/dataset.js';
import { sha256 } from '../../protocol/digest.js';
import { Objects } from '../../protocol/objects.js';

/** The stored bytes of a shard. */
export async function readShard(
  { nc, names }: Client,
  manifest: Manifest,
  index: number,
): Promise<Uint8Array> {
  const shards = await Objects.open(nc, names.stores.shards);
  return (await shards.get(`${manifest.name}/${manifest.shards[index]!.name}`))!;
}

/** Writes other bytes in a shard's place, or none; the manifest stays as it is. */
export async function alterShard(
  { nc, names }: Client,
  manifest: Manifest,
  index: number,
  bytes: Uint8Array | undefined,
): Promise<void> {
  const shards = await Objects.open(nc, names.stores.shards);
  const name = `${manifest.name}/${manifest.shards[index]!.name}`;
  if (bytes) await shards.put(name, bytes);
  else await shards.delete(name);
}

/** The same, with a manifest that matches: what only a faulty or hostile importer would write. */
export async function forgeShard(
  client: Client,
  manifest: Manifest,
  index: number,
  bytes: Uint8Array,
): Promise<void> {
  await alterShard(client, manifest, index, bytes);
  const shards = manifest.shards.map((shard, i) =>
    i === index ? { ...shard, bytes: bytes.length, sha256: sha256(bytes) } : shard,
  );
  await (await DatasetRegistry.open(client.nc, client.names)).register({ ...manifest, shards });
}

/** A copy of `bytes` in which the only four bytes that are `before` are `after`, both as float32. */
export function replaceFloat(bytes: Uint8Array, before: number, after: number): Uint8Array {
  const copy = Buffer.from(bytes);
  const pattern = Buffer.from(Float32Array.of(before).buffer);
  const at = copy.indexOf(pattern);
  if (at < 0 || copy.indexOf(pattern, at + 1) >= 0) throw new Error(`${before} is not there exactly once`);
  copy.writeFloatLE(after, at);
  return copy;
}
