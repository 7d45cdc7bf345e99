import { describe, expect, it } from '@jest/globals';
import type { CoordinatorHeartbeat } from '../../protocol/tasks.js';
import { leaseMs, OperatorLeases } from '../../worker/operator-leases.js';

const heartbeat = (id: string, ...operators: string[]): CoordinatorHeartbeat => ({
  id,
  version: '0.0.0',
  host: 'here',
  pid: 1,
  job: null,
  operators,
  workers: [],
});

describe('OperatorLeases', () => {
  it('expired: an operator that nobody ever named has one lease from when it was first seen open', () => {
    const leases = new OperatorLeases();
    expect(leases.expired(['a'], 1000)).toEqual([]);
    expect(leases.expired(['a'], 1000 + leaseMs)).toEqual([]);
    expect(leases.expired(['a', 'b'], 1001 + leaseMs)).toEqual(['a']);
  });

  it('expired: a named operator stays, until its coordinator is silent for a lease', () => {
    const leases = new OperatorLeases();
    for (let now = 0; now <= 10 * leaseMs; now += leaseMs / 2) {
      leases.heartbeat(heartbeat('c', 'a'), now);
      expect(leases.expired(['a'], now)).toEqual([]);
    }
    expect(leases.expired(['a'], 11 * leaseMs)).toEqual([]);
    expect(leases.expired(['a'], 11 * leaseMs + 1)).toEqual(['a']);
  });

  it('expired: an operator that its coordinator names no more goes at once; what others say is no matter', () => {
    const leases = new OperatorLeases();
    leases.heartbeat(heartbeat('c', 'a', 'b'), 0);
    leases.heartbeat(heartbeat('other'), 1);
    expect(leases.expired(['a', 'b'], 2)).toEqual([]);
    leases.heartbeat(heartbeat('c', 'b'), 3);
    expect(leases.expired(['a', 'b'], 3)).toEqual(['a']);
  });

  it('heartbeat: one opened before its coordinator names it is not taken from it', () => {
    const leases = new OperatorLeases();
    leases.heartbeat(heartbeat('c'), 0);
    expect(leases.expired(['a'], 1)).toEqual([]);
    leases.heartbeat(heartbeat('c'), 2); // sent before the job began
    expect(leases.expired(['a'], 3)).toEqual([]);
  });
});
