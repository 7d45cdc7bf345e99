import type { Manifest, Shard } from '../protocol/dataset.js';
import { sha256 } from '../protocol/digest.js';
import { AlreadyExistsError, BadFileError } from '../protocol/errors.js';
import type { DatasetRegistry } from './registry.js';
import { encodeManifest, parseManifest } from './registry.js';
import type { RowSource } from './rows.js';
import { defaultShardRows, encodeShards, shardSizes } from './shard-writer.js';
import { shuffle } from './shuffle.js';
import { manifestFile, type ShardStore } from './stores/shard-store.js';

export interface ImportOptions {
  source: RowSource;
  name: string;
  store: ShardStore;
  /** Where the dataset is made known; without one it is known only by the manifest beside its shards. */
  registry?: DatasetRegistry | undefined;
  shuffleSeed: number;
  /** Rows of a shard; default: about 12.8 MB of them. */
  shardRows?: number | undefined;
  /** Bytes that the shuffle may hold; default 64 MiB. The order of the rows depends on it. */
  shuffleMemory?: number | undefined;
  /** Whether a dataset of the same name may be replaced. It stays whole until the new one is. */
  replace?: boolean | undefined;
  onProgress?: ((progress: { rows: number; totalRows: number; shards: number }) => void) | undefined;
}

/**
 * Writes the rows of `source` as a dataset: shuffled, in shards of equal size, the manifest last, so that an import
 * that is killed is never seen and can be run again. One that fails removes what it wrote.
 * Throws `AlreadyExistsError`, `NotFiniteError`, and what the source throws.
 */
export async function importDataset(options: ImportOptions): Promise<Manifest> {
  const { source, name, store, registry, shuffleSeed } = options;
  const shuffled = shuffle(source, shuffleSeed, options.shuffleMemory);
  const { rows, width, labels } = source;
  const old = await existing(options);
  const sizes = shardSizes(rows, options.shardRows ?? defaultShardRows(width, labels));
  const shards: Shard[] = [];
  let weightSum = 0;
  try {
    let done = 0;
    for await (const shard of encodeShards(shuffled, sizes, width, labels)) {
      const hash = sha256(shard.bytes);
      // The hash in the name keeps the shards of the dataset that is being replaced apart from the new ones.
      const file = `shard-${`${shards.length}`.padStart(5, '0')}-${hash.slice(0, 8)}.arrow`;
      await store.put(file, shard.bytes);
      shards.push({ name: file, rows: shard.rows, bytes: shard.bytes.length, sha256: hash });
      done += shard.rows;
      weightSum += shard.weight;
      options.onProgress?.({ rows: done, totalRows: rows, shards: shards.length });
    }
    if (weightSum === 0)
      throw new BadFileError(`every row of ${source.description} has weight 0: there is no mean`);
    const manifest: Manifest = {
      format: 'ihvp-dataset',
      version: 1,
      name,
      location: store.location,
      rows,
      features: { width },
      labels,
      ...(source.weighted && { weights: { sum: weightSum } }),
      shuffleSeed,
      shards,
      source: source.description,
      created: new Date().toISOString(),
    };
    await registry?.register(manifest);
    await store.put(manifestFile, encodeManifest(manifest));
    // Best effort: what stays is unseen, and the next import of this name removes it.
    await sweep(store, manifest).catch(() => undefined);
    return manifest;
  } catch (error) {
    await restore(options, old).catch(() => undefined);
    throw error;
  }
}

/** The dataset that would be replaced. */
async function existing({ name, store, registry, replace }: ImportOptions): Promise<Manifest | undefined> {
  const beside = await store.get(manifestFile);
  const stored = beside && parseManifest(beside, `${store.location}${manifestFile}`);
  const old = (await registry?.find(name)) ?? stored;
  if (stored && stored.name !== name)
    throw new AlreadyExistsError(`${store.location} holds dataset "${stored.name}"`, {
      hint: 'give each dataset a folder of its own',
    });
  if (old && !replace)
    throw new AlreadyExistsError(`dataset "${name}" exists (${old.source}, ${old.rows} rows)`, {
      hint: 'choose another name with --name, or say --replace',
      details: { name },
    });
  if (old && old.location !== store.location)
    throw new AlreadyExistsError(`dataset "${name}" exists in another place, ${old.location}`, {
      hint: `remove it first: ihvp dataset rm ${name}`,
      details: { name },
    });
  return old;
}

/** After a failure: as it was before. */
async function restore({ name, store, registry }: ImportOptions, old: Manifest | undefined): Promise<void> {
  if (old) {
    await registry?.register(old);
    await store.put(manifestFile, encodeManifest(old));
  } else await registry?.remove(name);
  await sweep(store, old);
}

/** Removes every file of the dataset that `keep` does not name. */
async function sweep(store: ShardStore, keep: Manifest | undefined): Promise<void> {
  const kept = new Set(keep && [manifestFile, ...keep.shards.map((shard) => shard.name)]);
  for (const file of await store.list()) if (!kept.has(file)) await store.remove(file);
}

/** Removes a dataset, its shards and its entry in the registry. */
export async function removeDataset(
  name: string,
  store: ShardStore,
  registry?: DatasetRegistry,
): Promise<void> {
  // First the names by which it is found, so that a removal cut short leaves nothing half there to be read.
  await registry?.remove(name);
  await store.remove(manifestFile);
  await sweep(store, undefined);
}
