import { CorruptShardError } from '../../protocol/errors.js';
import type { Manifest } from '../../protocol/dataset.js';
import type { Objects } from '../../protocol/objects.js';
import { FileStore } from './file-store.js';
import { ObjectShardStore } from './object-store.js';
import type { ShardStore } from './shard-store.js';

/** The store of the dataset `name` at `location`: `nats:` (this farm's bucket of shards) or a `file:///…/` folder. */
export function openStore(location: string, name: string, shards: Objects): ShardStore {
  return location === 'nats:' ? new ObjectShardStore(shards, name) : new FileStore(location);
}

/** The bytes of a shard, not yet verified. Throws `CorruptShardError` if it is missing. */
export async function fetchShard(
  store: ShardStore,
  manifest: Manifest,
  shardIndex: number,
): Promise<Uint8Array> {
  const { name } = manifest.shards[shardIndex]!;
  const bytes = await store.get(name);
  if (bytes) return bytes;
  throw new CorruptShardError(`shard ${manifest.name}/${name} is missing from ${store.location}`, {
    hint: 'import the dataset again with --replace',
    details: { dataset: manifest.name, shard: name },
  });
}
