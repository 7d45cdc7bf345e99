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
    if (state === 'gone') return this.remove(id);
    const known = this.#workers.has(id);
    // One that leaves finishes what it has, so it is not lost yet; nobody needs to hear of it who did not before.
    if (!known && state === 'draining') return { joined: [], lost: [] };
    this.#workers.set(id, { heartbeat, seen: now });
    return { joined: known ? [] : [id], lost: [] };
  }

  /** Drops the workers that went silent. */
  tick(now: number): MembershipChange {
    const lost = [...this.#workers].filter(([, { seen }]) => now - seen > lostAfterMs).map(([id]) => id);
    for (const id of lost) this.#workers.delete(id);
    return { joined: [], lost };
  }

  /** A worker that said so, or was found dead: its task subject has no listener. */
  remove(id: string): MembershipChange {
    return { joined: [], lost: this.#workers.delete(id) ? [id] : [] };
  }

  /** Workers that take tasks, ordered by id so that every assignment is a function of the set alone. */
  ready(): WorkerHeartbeat[] {
    return [...this.#workers.values()]
      .map(({ heartbeat }) => heartbeat)
      .filter(({ state }) => state === 'ready')
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }
}
