import { hostname } from 'node:os';
import { nuid } from '@nats-io/nats-core';
import { connectBroker } from '../protocol/connection.js';
import { names as namesOf } from '../protocol/subjects.js';
import type { CoordinatorHeartbeat } from '../protocol/tasks.js';
import { version } from '../protocol/version.js';
import { Farm } from './farm.js';
import { JobLoop } from './job-loop.js';
import { startJobService } from './job-service.js';
import { openStores } from './stores.js';

const heartbeatMs = 1000;

export interface CoordinatorOptions {
  url?: string | undefined;
  prefix?: string | undefined;
  /** One line for people, on what happens. */
  say?: ((line: string) => void) | undefined;
}

export interface RunningCoordinator {
  id: string;
  /** Gives the job under way back to the queue and leaves. */
  stop: () => Promise<void>;
}

/** Starts a coordinator in this process. @throws BrokerError */
export async function startCoordinator({
  url,
  prefix,
  say = () => {},
}: CoordinatorOptions): Promise<RunningCoordinator> {
  const names = namesOf(prefix);
  const id = nuid.next();
  const nc = await connectBroker(url, `${names.prefix}-coordinator ${id}`);
  const stores = await openStores(nc, names).catch(async (error: unknown) => {
    await nc.close();
    throw error;
  });
  const farm = new Farm(nc, names, id);
  const loop = new JobLoop(farm, stores, say);
  farm.onChange(({ joined, lost }) => {
    for (const worker of joined) say(`worker ${worker} joined`);
    for (const worker of lost) say(`worker ${worker} is gone`);
  });
  const service = await startJobService(nc, names, stores);
  const beat = () => {
    const heartbeat: CoordinatorHeartbeat = {
      id,
      version,
      host: hostname(),
      pid: process.pid,
      job: loop.job ?? null,
      operators: loop.operators,
      workers: farm.workers().map((worker) => worker.id),
    };
    // Throws, and so ends the process, where the broker has refused us for good: nothing can be done without it.
    nc.publish(names.coordinator(id).heartbeat, JSON.stringify(heartbeat));
  };
  beat();
  const heart = setInterval(beat, heartbeatMs);
  loop.start();
  return {
    id,
    stop: async () => {
      await service.stop();
      await loop.stop();
      clearInterval(heart);
      beat();
      farm.close();
      await nc.drain();
    },
  };
}
