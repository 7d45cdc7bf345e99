import { realpath } from 'node:fs/promises';
import { isAbsolute, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchShard as fetchFrom, openStore } from '../datasets/stores/open-store.js';
import { ForbiddenError } from '../protocol/errors.js';
import type { Objects } from '../protocol/objects.js';
import type { FetchShard } from './shard-cache.js';

/**
 * Fetches shards from the farm's object store and, for `file://` datasets, from below the folders that the worker was
 * started with: a manifest is data from the network and may not choose which files this machine reads.
 */
export function shardFetcher(shards: Objects, folders: readonly string[]): FetchShard {
  return async (manifest, shard) => {
    if (manifest.location !== 'nats:') await checkAllowed(fileURLToPath(manifest.location), folders);
    return fetchFrom(openStore(manifest.location, manifest.name, shards), manifest, shard);
  };
}

/** @throws ForbiddenError unless the folder, links followed, lies in one of the allowed ones */
async function checkAllowed(folder: string, allowed: readonly string[]): Promise<void> {
  const real = await realpath(folder).catch(() => folder);
  for (const candidate of allowed) {
    const path = relative(await realpath(candidate).catch(() => candidate), real);
    if (!path.startsWith('..') && !isAbsolute(path)) return;
  }
  throw new ForbiddenError(`this worker may not read ${folder}`, {
    hint: `start the workers with --files ${folder}`,
    details: { folder },
  });
}
