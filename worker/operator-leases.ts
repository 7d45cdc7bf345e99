import type { CoordinatorHeartbeat } from '../protocol/tasks.js';

/** An operator that no coordinator has named for this long is closed: its coordinator died, or forgot it. */
export const leaseMs = 30_000;

/** Which operators are still wanted, from coordinators' heartbeats and the clock alone. */
export class OperatorLeases {
  #seen = new Map<string, number>();

  heartbeat({ operators }: CoordinatorHeartbeat, now: number): void {
    for (const operator of operators) this.#seen.set(operator, now);
  }

  /** Those of `open` whose lease has run out; one not seen before begins its lease now. */
  expired(open: readonly string[], now: number): string[] {
    for (const operator of this.#seen.keys()) if (!open.includes(operator)) this.#seen.delete(operator);
    for (const operator of open) if (!this.#seen.has(operator)) this.#seen.set(operator, now);
    return open.filter((operator) => now - this.#seen.get(operator)! > leaseMs);
  }
}
