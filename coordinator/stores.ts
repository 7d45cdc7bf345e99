import type { NatsConnection } from '@nats-io/nats-core';
import { DatasetRegistry } from '../datasets/registry.js';
import { ModelStore } from '../protocol/model-store.js';
import { Objects } from '../protocol/objects.js';
import type { Names } from '../protocol/subjects.js';
import { JobStore } from './job-store.js';
import { KeptSpectra } from './kept-spectra.js';

/** Everything durable that a coordinator reads and writes. */
export interface Stores {
  jobs: JobStore;
  models: ModelStore;
  datasets: DatasetRegistry;
  /** Uploaded right-hand sides, by name. */
  vectors: Objects;
  /** `<job>/<file>` */
  results: Objects;
  spectra: KeptSpectra;
}

export async function openStores(nc: NatsConnection, names: Names): Promise<Stores> {
  const [jobs, models, datasets, vectors, results, spectra] = await Promise.all([
    JobStore.open(nc, names),
    ModelStore.open(nc, names),
    DatasetRegistry.open(nc, names),
    Objects.open(nc, names.stores.vectors),
    Objects.open(nc, names.stores.results),
    Objects.open(nc, names.stores.spectra),
  ]);
  return { jobs, models, datasets, vectors, results, spectra: new KeptSpectra(spectra) };
}
