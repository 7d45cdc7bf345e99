import { MessageChannel } from 'node:worker_threads';
import { importDataset } from '../../datasets/import.js';
import { manifestDigest } from '../../datasets/registry.js';
import type { RowSource } from '../../datasets/rows.js';
import { FileStore } from '../../datasets/stores/file-store.js';
import { fetchShard } from '../../datasets/stores/open-store.js';
import type { Network } from '../../protocol/model.js';
import { ShardCache } from '../../worker/shard-cache.js';
import { ShardClient } from '../../worker/shard-client.js';
import type { ServeShard } from '../../worker/slots.js';
import type { OpenInput, ShardRequest, ShardResponse } from '../../worker/thread-messages.js';
import { withFolder } from './datasets.js';

export interface ThreadFarm {
  input: OpenInput<Network>;
  shards: ShardClient;
  /** The same shards, for threads that are real. */
  serve: ServeShard;
  /** Shards in the order in which they were fetched from the store. */
  fetched: number[];
}

export interface ThreadFarmOptions {
  shardRows: number;
  leafRows: number;
  /** Bytes of the cache of shards. */
  cacheBytes?: number;
}

/** What a worker's main thread is to an arithmetic thread, without a broker: a dataset on disk, cache and shard port. */
export async function withThreadFarm(
  source: RowSource,
  network: Network,
  { shardRows, leafRows, cacheBytes = 0 }: ThreadFarmOptions,
  use: (farm: ThreadFarm) => Promise<void>,
): Promise<void> {
  await withFolder(async (_, url) => {
    const store = new FileStore(url);
    const manifest = await importDataset({ source, name: 'rows', store, shuffleSeed: 1, shardRows });
    const fetched: number[] = [];
    const cache = new ShardCache(cacheBytes, (_manifest, shard) => {
      fetched.push(shard);
      return fetchShard(store, manifest, shard);
    });
    const serve: ServeShard = (_digest, shard) => cache.get(manifest, shard);
    const { port1, port2 } = new MessageChannel();
    port1.on('message', ({ request, shard }: ShardRequest) => {
      void serve('', shard).then((bytes) => {
        const response: ShardResponse = { request, bytes };
        port1.postMessage(response);
      });
    });
    const input: OpenInput<Network> = {
      operator: 'test',
      network,
      manifest,
      digest: manifestDigest(manifest),
      leafRows,
      curvature: 'hessian',
      hvp: { mode: 'exact' },
    };
    try {
      await use({ input, shards: new ShardClient(port2), serve, fetched });
    } finally {
      port1.close();
    }
  });
}
