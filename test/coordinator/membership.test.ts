import { describe, expect, it } from '@jest/globals';
import { lostAfterMs, Membership } from '../../coordinator/membership.js';
import { heartbeat } from '../support/heartbeat.js';

const ids = (membership: Membership) => membership.ready().map(({ id }) => id);

describe('Membership', () => {
  it('heartbeat: a worker joins once, and ready lists the workers by id', () => {
    const farm = new Membership();
    expect(farm.heartbeat(heartbeat('b'), 0)).toEqual({ joined: ['b'], lost: [] });
    expect(farm.heartbeat(heartbeat('a'), 0)).toEqual({ joined: ['a'], lost: [] });
    expect(farm.heartbeat(heartbeat('b', { tasks: 3 }), 1000)).toEqual({ joined: [], lost: [] });
    expect(farm.ready()).toEqual([heartbeat('a'), heartbeat('b', { tasks: 3 })]);
  });

  it('tick: a silent worker is lost once, and joins again with its next heartbeat', () => {
    const farm = new Membership();
    farm.heartbeat(heartbeat('a'), 0);
    farm.heartbeat(heartbeat('b'), 1000);
    expect(farm.tick(lostAfterMs)).toEqual({ joined: [], lost: [] });
    expect(farm.tick(lostAfterMs + 1)).toEqual({ joined: [], lost: ['a'] });
    expect(farm.tick(lostAfterMs + 2)).toEqual({ joined: [], lost: [] });
    expect(ids(farm)).toEqual(['b']);
    expect(farm.heartbeat(heartbeat('a'), lostAfterMs + 3).joined).toEqual(['a']);
  });

  it('heartbeat: a draining worker takes nothing new, but is lost only when it is gone or silent', () => {
    const farm = new Membership();
    farm.heartbeat(heartbeat('a'), 0);
    farm.heartbeat(heartbeat('b'), 0);
    expect(farm.heartbeat(heartbeat('a', { state: 'draining' }), 1)).toEqual({ joined: [], lost: [] });
    expect(farm.heartbeat(heartbeat('b', { state: 'draining' }), 1)).toEqual({ joined: [], lost: [] });
    expect(ids(farm)).toEqual([]);
    expect(farm.heartbeat(heartbeat('a', { state: 'gone' }), 2)).toEqual({ joined: [], lost: ['a'] });
    expect(farm.tick(lostAfterMs + 2)).toEqual({ joined: [], lost: ['b'] });
  });

  it('heartbeat: one first heard as it leaves never joins', () => {
    const farm = new Membership();
    expect(farm.heartbeat(heartbeat('a', { state: 'draining' }), 0)).toEqual({ joined: [], lost: [] });
    expect(farm.heartbeat(heartbeat('a', { state: 'gone' }), 1)).toEqual({ joined: [], lost: [] });
    expect(ids(farm)).toEqual([]);
  });

  it('remove: a worker found dead is lost, an unknown one is not', () => {
    const farm = new Membership();
    farm.heartbeat(heartbeat('a'), 0);
    expect(farm.remove('a')).toEqual({ joined: [], lost: ['a'] });
    expect(farm.remove('a')).toEqual({ joined: [], lost: [] });
  });
});
