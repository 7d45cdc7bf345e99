import type { WorkerHeartbeat } from '../protocol/tasks.js';

/** A worker whose last heartbeat is older than this is lost. */
export const lostAfterMs = 6000;

export interface MembershipChange {
  joined: string[];
  lost: string[];
}

/** Who is in the farm, from heartbeats and the clock alone: events in, changes out, no I/O. */
export class Membership {
  #workers = new Map<string, { heartbeat: WorkerHeartbeat; seen: number }>();

  heartbeat(heartbeat: WorkerHeartbeat, now: number): MembershipChange {
    const { id, state } = heartbeat;
    const known = this.#workers.has(id);
    if (state !== 'ready') {
      this.#workers.delete(id);
      return { joined: [], lost: known ? [id] : [] };
    }
    this.#workers.set(id, { heartbeat, seen: now });
    return { joined: known ? [] : [id], lost: [] };
  }

  /** Drops the workers that went silent. */
  tick(now: number): MembershipChange {
    const lost = [...this.#workers].filter(([, { seen }]) => now - seen > lostAfterMs).map(([id]) => id);
    for (const id of lost) this.#workers.delete(id);
    return { joined: [], lost };
  }

  /** A worker that was found dead otherwise: its task subject has no listener. */
  remove(id: string): MembershipChange {
    return { joined: [], lost: this.#workers.delete(id) ? [id] : [] };
  }

  /** Workers that take tasks, ordered by id so that every assignment is a function of the set alone. */
  ready(): WorkerHeartbeat[] {
    return [...this.#workers.values()]
      .map(({ heartbeat }) => heartbeat)
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}
