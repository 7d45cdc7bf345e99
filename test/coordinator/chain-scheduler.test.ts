import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ChainScheduler } from '../../coordinator/chain-scheduler.js';
import { heartbeat } from '../support/heartbeat.js';

describe('ChainScheduler', () => {
  it('take: one task waits for each thread of a worker; all threads are used first', () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(4)), { maxLength: 60 });
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
        steps,
        (sizes, all) => {
          const workers = sizes.map((threads, i) => heartbeat(`w${i}`, { threads }));
          const scheduler = new ChainScheduler();
          const running: string[] = [];
          const load = (worker: string) => running.filter((id) => id === worker).length;
          for (const [begin, shard] of all) {
            if (!begin) {
              const done = running.shift();
              if (done !== undefined) scheduler.done(done);
              continue;
            }
            const taken = scheduler.take(shard, workers);
            const anyFree = workers.some(({ id, threads }) => load(id) < threads);
            if (taken === undefined)
              for (const { id, threads } of workers) expect(load(id)).toBe(2 * threads);
            else {
              const { threads } = workers.find(({ id }) => id === taken)!;
              expect(load(taken)).toBeLessThan(anyFree ? threads : 2 * threads);
              running.push(taken);
            }
          }
        },
      ),
    );
  });

  it('take: prefers a worker that had the shard before, else the least busy', () => {
    const workers = [heartbeat('a', { threads: 2 }), heartbeat('b', { threads: 2 })];
    const scheduler = new ChainScheduler();
    expect(scheduler.take(0, workers)).toBe('a');
    expect(scheduler.take(1, workers)).toBe('b');
    expect(scheduler.take(1, workers)).toBe('b');
    expect(scheduler.take(1, workers)).toBe('a'); // b is full
    expect(scheduler.take(0, workers)).toBe('a'); // waits where its shard is
    expect(scheduler.take(0, workers)).toBe('a');
    expect(scheduler.take(0, workers)).toBe('b'); // waits: two wait on a already
    expect(scheduler.take(2, workers)).toBe('b');
    expect(scheduler.take(2, workers)).toBeUndefined();
    scheduler.done('a');
    for (let i = 0; i < 3; i++) scheduler.done('b');
    expect(scheduler.take(0, workers)).toBe('b'); // a has no free thread
  });

  it('take: a worker that left is not chosen', () => {
    const scheduler = new ChainScheduler();
    expect(scheduler.take(0, [heartbeat('a', { threads: 9 })])).toBe('a');
    expect(scheduler.take(0, [heartbeat('b')])).toBe('b');
    expect(scheduler.take(0, [])).toBeUndefined();
  });
});
