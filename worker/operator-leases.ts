import type { CoordinatorHeartbeat } from '../protocol/tasks.js';

/** An operator that no coordinator has named for this long is closed: its coordinator died, or forgot it. */
export const leaseMs = 30_000;

interface Lease {
  /** Who named the operator last. */
  coordinator?: string;
  seen: number;
}

/** Which operators are still wanted, from coordinators' heartbeats and the clock alone. */
export class OperatorLeases {
  #leases = new Map<string, Lease>();

  /** An operator that its coordinator names no more is not wanted any more. */
  heartbeat({ id, operators }: CoordinatorHeartbeat, now: number): void {
    for (const lease of this.#leases.values()) if (lease.coordinator === id) lease.seen = -Infinity;
    for (const operator of operators) this.#leases.set(operator, { coordinator: id, seen: now });
  }

  /** Those of `open` whose lease has run out; one not seen before begins its lease now. */
  expired(open: readonly string[], now: number): string[] {
    for (const operator of this.#leases.keys()) if (!open.includes(operator)) this.#leases.delete(operator);
    for (const operator of open) if (!this.#leases.has(operator)) this.#leases.set(operator, { seen: now });
    return open.filter((operator) => now - this.#leases.get(operator)!.seen > leaseMs);
  }
}
