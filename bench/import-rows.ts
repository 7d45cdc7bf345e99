import { importDataset } from '../datasets/import.js';
import { DatasetRegistry } from '../datasets/registry.js';
import type { RowSource } from '../datasets/rows.js';
import { openStore } from '../datasets/stores/open-store.js';
import type { Client } from '../protocol/client.js';
import type { Manifest } from '../protocol/dataset.js';
import { Objects } from '../protocol/objects.js';

/** Imports rows into a farm's object store, as `ihvp dataset import` does. */
export async function importRows({ nc, names }: Client, name: string, source: RowSource): Promise<Manifest> {
  const shards = await Objects.open(nc, names.stores.shards);
  return importDataset({
    source,
    name,
    store: openStore('nats:', name, shards),
    registry: await DatasetRegistry.open(nc, names),
    shuffleSeed: 0,
  });
}
