import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Kvm } from '@nats-io/kv';
import { JobStore } from '../../coordinator/job-store.js';
import { AlreadyExistsError, UnknownJobError } from '../../protocol/errors.js';
import { jobSchema, type Job } from '../../protocol/jobs.js';
import { requestSchema } from '../../protocol/requests.js';
import { submissionSchema } from '../../protocol/services.js';
import { type TestBroker, startTestBroker } from '../support/broker.js';
import { rejection } from '../support/datasets.js';

let broker: TestBroker;
let jobs: JobStore;

beforeAll(async () => {
  broker = await startTestBroker();
  jobs = await JobStore.open(broker.connection, broker.names);
});
afterAll(() => broker.stop());

const request = (model = 'm') => requestSchema.parse({ type: 'gradient', model, dataset: 'd' });
const idsInQueue = async () => {
  const ids: string[] = [];
  for (;;) {
    const message = await jobs.queue.next({ expires: 1000 });
    if (!message) return ids;
    ids.push(submissionSchema.parse(message.json()).id);
    await message.ackAck();
  }
};

describe('JobStore', () => {
  it('submit: the same id and request, even ten times at once, is one job and one place in the queue', async () => {
    const submission = { id: 'once', request: request() };
    const all = await Promise.all(Array.from({ length: 10 }, () => jobs.submit(submission)));
    for (const job of all) expect(job).toMatchObject({ id: 'once', state: 'queued', attempts: 0 });
    expect(await jobs.submit(submission)).toEqual(await jobs.get('once'));
    expect(await idsInQueue()).toEqual(['once']);
  });

  it('submit: the id of another request is AlreadyExistsError, also where both come at once', async () => {
    await jobs.submit({ id: 'taken', request: request('a') });
    const later = { id: 'taken', request: request('b') };
    expect(await rejection(jobs.submit(later))).toBeInstanceOf(AlreadyExistsError);
    const outcomes = await Promise.allSettled(
      ['a', 'b', 'c'].map((model) => jobs.submit({ id: 'race', request: request(model) })),
    );
    const accepted = outcomes.filter(({ status }) => status === 'fulfilled') as PromiseFulfilledResult<Job>[];
    expect(accepted.map(({ value }) => value)).toEqual([await jobs.get('race')]);
    expect(await idsInQueue()).toEqual(['taken', 'race']);
  });

  it('ensure: whoever comes first writes the record', async () => {
    const submission = { id: 'taken-first', request: request() };
    const [a, b] = await Promise.all([jobs.ensure(submission), jobs.ensure(submission)]);
    expect(a).toEqual(b);
    await jobs.change('taken-first', (job) => ({ ...job, state: 'running' }));
    expect(await jobs.ensure(submission)).toMatchObject({ state: 'running' });
  });

  it('change: no change is lost, however many come at once, and each is published', async () => {
    await jobs.ensure({ id: 'busy', request: request() });
    const published: number[] = [];
    const subscription = broker.connection.subscribe(broker.names.job('busy').state, {
      callback: (_, message) => void published.push(jobSchema.parse(message.json()).attempts),
    });
    await Promise.all(
      Array.from({ length: 8 }, () => jobs.change('busy', (job) => ({ ...job, attempts: job.attempts + 1 }))),
    );
    expect((await jobs.get('busy')).attempts).toBe(8);
    await broker.connection.flush();
    expect(published.sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(await jobs.change('busy', () => undefined)).toEqual(await jobs.get('busy'));
    subscription.unsubscribe();
  });

  it('get and change: an unknown id is UnknownJobError', async () => {
    expect(await jobs.find('nobody')).toBeUndefined();
    expect(await rejection(jobs.get('nobody'))).toBeInstanceOf(UnknownJobError);
    expect(await rejection(jobs.change('nobody', (job) => job))).toBeInstanceOf(UnknownJobError);
  });

  it('list: newest first, as many as asked for, without records that are not jobs', async () => {
    const kv = await new Kvm(broker.connection).open(broker.names.stores.jobs);
    await kv.put('garbage', '{"id":1}');
    await kv.put('bytes', new Uint8Array([255, 0]));
    const all = await jobs.list(100);
    expect(all.map(({ id }) => id)).not.toContain('garbage');
    expect(all.length).toBeGreaterThanOrEqual(4);
    const times = all.map(({ submitted }) => submitted);
    expect(times).toEqual([...times].sort().reverse());
    expect(await jobs.list(2)).toEqual(all.slice(0, 2));
  });

  it('list: empty where there are none', async () => {
    const empty = await JobStore.open(broker.connection, {
      ...broker.names,
      stores: { ...broker.names.stores, jobs: `${broker.prefix}_empty` },
    });
    expect(await empty.list(10)).toEqual([]);
  });
});
