import { availableParallelism, hostname } from 'node:os';
import { nuid, type NatsConnection } from '@nats-io/nats-core';
import { DatasetRegistry, manifestDigest } from '../datasets/registry.js';
import type { Manifest } from '../protocol/dataset.js';
import { connectBroker } from '../protocol/connection.js';
import { CorruptShardError, UnknownDatasetError, UnsupportedError } from '../protocol/errors.js';
import { Objects } from '../protocol/objects.js';
import { listen } from '../protocol/listen.js';
import { parseJson } from '../protocol/parse.js';
import { names as namesOf, type Names } from '../protocol/subjects.js';
import { coordinatorHeartbeatSchema, type DatasetRef, type WorkerHeartbeat } from '../protocol/tasks.js';
import { version } from '../protocol/version.js';
import { recordingNames } from './engines/names.js';
import { shardFetcher } from './fetch-shard.js';
import { OperatorLeases } from './operator-leases.js';
import { ShardCache } from './shard-cache.js';
import { Slots } from './slots.js';
import { TaskService } from './task-service.js';

const heartbeatMs = 1000;
const defaultCacheBytes = 2 * 2 ** 30;
/** Of the cache budget; the rest is for linearizations. */
const shardFraction = 1 / 3;

/** Not measured at start: libraries that compute one sum on several threads give it other bits than on one. */
const oneThreadEach = 'each thread has leaves of its own: shared sums would have other bits';

export interface WorkerOptions {
  url?: string | undefined;
  prefix?: string | undefined;
  engine?: string | undefined;
  /** Arithmetic threads: no more than there are cores are started. */
  threads?: number | undefined;
  /** Bytes for shards and linearizations together. */
  cacheBytes?: number | undefined;
  /** Folders that `file://` datasets may be read from. */
  files?: string[] | undefined;
  /** JavaScript modules with loss functions of the user's own. */
  plugins?: string[] | undefined;
  /** A folder for the ONNX graphs that the worker computes with. */
  dumpGraphs?: string | undefined;
  /** The GPU to use, where there are several: one process takes one. */
  gpu?: number | undefined;
  /** Lets the GPU round the factors of float32 products to 10 bits. */
  tf32?: boolean | undefined;
  say?: ((line: string) => void) | undefined;
}

export interface RunningWorker {
  id: string;
  engine: string;
  threads: number;
  /** Finishes what runs, then leaves. */
  stop: () => Promise<void>;
}

/** Starts a worker: NATS on this thread, arithmetic in others. @throws BrokerError, UnsupportedError */
export async function startWorker(options: WorkerOptions): Promise<RunningWorker> {
  const names = namesOf(options.prefix);
  const id = nuid.next();
  const nc = await connectBroker(options.url, `${names.prefix}-worker ${id}`);
  try {
    return await startOn(nc, names, id, options);
  } catch (error) {
    await nc.close();
    throw error;
  }
}

async function startOn(
  nc: NatsConnection,
  names: Names,
  id: string,
  options: WorkerOptions,
): Promise<RunningWorker> {
  const { engine: choice = 'auto', cacheBytes = defaultCacheBytes, dumpGraphs, say = () => {} } = options;
  const manifests = new Map<string, Manifest>();
  const registry = await DatasetRegistry.open(nc, names);
  const shards = await Objects.open(nc, names.stores.shards);
  const cache = new ShardCache(cacheBytes * shardFraction, shardFetcher(shards, options.files ?? []));
  const serveShard = (digest: string, shard: number) => {
    const manifest = manifests.get(digest);
    if (!manifest) throw new UnknownDatasetError(`no manifest with digest ${digest} is known here`);
    return cache.get(manifest, shard);
  };
  const cores = availableParallelism();
  const wanted = options.threads ?? cores;
  if (wanted > cores) say(`${wanted} threads were asked for: there are ${cores} cores, so ${cores} threads`);
  const slots = await Slots.start(
    Math.min(wanted, cores),
    {
      engine: choice,
      plugins: options.plugins ?? [],
      budget: cacheBytes * (1 - shardFraction),
      dumpGraphs,
      gpu: options.gpu,
      tf32: options.tf32,
    },
    serveShard,
  );
  const { engine } = slots.started;
  const threads = slots.count;
  const reason = threads === 1 ? slots.started.reason : `${slots.started.reason}; ${oneThreadEach}`;
  if (dumpGraphs !== undefined && !recordingNames.some((name) => name === engine)) {
    await slots.close();
    throw new UnsupportedError(`the engine ${engine} has no graphs to write into ${dumpGraphs}`, {
      hint: 'use --engine onnx with --dump-graph',
    });
  }
  say(`engine ${engine} (${reason}), ${threads} thread(s)`);

  const findManifest = async ({ name, sha256 }: DatasetRef): Promise<Manifest> => {
    const manifest = manifests.get(sha256) ?? (await registry.get(name));
    if (manifestDigest(manifest) !== sha256)
      throw new CorruptShardError(`dataset "${name}" was replaced while a job used it`, {
        hint: 'submit the job again',
        details: { dataset: name },
      });
    manifests.set(sha256, manifest);
    return manifest;
  };
  const tasks = new TaskService(nc, names, id, slots, findManifest);
  await tasks.start();

  const leases = new OperatorLeases();
  listen(nc, names.coordinator('*').heartbeat, ({ data }) =>
    leases.heartbeat(parseJson(coordinatorHeartbeatSchema, data, 'heartbeat'), Date.now()),
  );
  let state: WorkerHeartbeat['state'] = 'ready';
  const beat = () => {
    const heartbeat: WorkerHeartbeat = {
      id,
      engine,
      reason,
      threads,
      host: hostname(),
      pid: process.pid,
      version,
      cacheBytes,
      usedBytes: cache.usedBytes + slots.usedBytes,
      tasks: tasks.tasks,
      operators: tasks.operators,
      state,
    };
    // Throws, and so ends the process, where the broker has refused us for good: nothing can be done without it.
    nc.publish(names.worker(id).heartbeat, JSON.stringify(heartbeat));
  };
  const pulse = () => {
    for (const operator of leases.expired(tasks.operators, Date.now())) void tasks.close(operator);
    beat();
  };
  pulse();
  const heart = setInterval(pulse, heartbeatMs);

  return {
    id,
    engine,
    threads,
    stop: async () => {
      state = 'draining';
      beat();
      await tasks.drain();
      clearInterval(heart);
      state = 'gone';
      beat();
      await nc.drain();
      await slots.close();
    },
  };
}
