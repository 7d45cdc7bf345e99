import type { WorkerHeartbeat } from '../../protocol/tasks.js';

/** A worker's heartbeat. */
export function heartbeat(id: string, fields: Partial<WorkerHeartbeat> = {}): WorkerHeartbeat {
  return {
    id,
    engine: 'cpu',
    reason: 'cpu: asked for',
    threads: 1,
    host: 'here',
    pid: 1,
    version: '0.0.0',
    cacheBytes: 0,
    usedBytes: 0,
    tasks: 0,
    operators: [],
    state: 'ready',
    ...fields,
  };
}
