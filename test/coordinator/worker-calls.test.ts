import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WorkerCalls } from '../../coordinator/worker-calls.js';
import { CorruptShardError, TimeoutError, WorkerLostError } from '../../protocol/errors.js';
import type { Task } from '../../protocol/tasks.js';
import { type TestBroker, startTestBroker } from '../support/broker.js';
import { rejection } from '../support/datasets.js';
import { rawPublish } from '../support/raw-publish.js';

let broker: TestBroker;
let calls: WorkerCalls;
const never = new AbortController().signal;
const reply = { ok: true, nodes: [], block: null, busySeconds: 0.5, heldSeconds: 0.6 } as const;
const task: Task = {
  task: 'linearize',
  operator: 'o',
  point: {
    id: 0,
    parameters: { owner: 'o', id: 0, dtype: 'float32', values: 1, frames: 1 },
  },
  leaves: [{ start: 0, end: 1 }],
};

beforeAll(async () => {
  broker = await startTestBroker();
  calls = new WorkerCalls(broker.connection, broker.names, 'c');
});
afterAll(async () => {
  calls.close();
  await broker.stop();
});

/** A worker that answers each task with this text, or never. Returns the reply subjects of what it got. */
function worker(id: string, answer?: string): string[] {
  const got: string[] = [];
  broker.connection.subscribe(broker.names.worker(id).task, {
    callback: (_, message) => {
      got.push(message.reply!);
      if (answer !== undefined) message.respond(answer);
    },
  });
  return got;
}

describe('WorkerCalls', () => {
  it("call: resolves with the reply, or rejects with the worker's own error as its class", async () => {
    worker('good', JSON.stringify(reply));
    expect(await calls.call('good', task, never)).toEqual(reply);
    const error = new CorruptShardError('shard 3 is torn', { hint: 'h', details: { shard: 3 } });
    worker('bad', JSON.stringify({ ok: false, error: error.toWire() }));
    const thrown = await rejection(calls.call('bad', task, never));
    expect(thrown).toBeInstanceOf(CorruptShardError);
    expect(thrown).toMatchObject({ message: 'shard 3 is torn', hint: 'h', details: { shard: 3 } });
  });

  it('call: WorkerLostError where nobody listens, and where the worker is lost in the middle', async () => {
    expect(await rejection(calls.call('nobody', task, never))).toBeInstanceOf(WorkerLostError);
    worker('silent');
    worker('other', JSON.stringify(reply));
    const calling = [calls.call('silent', task, never), calls.call('silent', task, never)].map(rejection);
    calls.lose('other');
    calls.lose('silent');
    for (const error of await Promise.all(calling))
      expect(error).toMatchObject({ code: 'worker-lost', details: { worker: 'silent' } });
    expect(await calls.call('other', task, never)).toEqual(reply);
  });

  it('call: TimeoutError where the worker says three times that it has no task', async () => {
    worker('forgetful');
    const calling = rejection(calls.call('forgetful', task, never));
    calls.heard('forgetful', 0);
    calls.heard('forgetful', 0);
    calls.heard('forgetful', 1); // it has one: the count begins anew
    calls.heard('forgetful', 0);
    calls.heard('another', 0);
    calls.heard('forgetful', 0);
    expect(await Promise.race([calling, Promise.resolve('waits')])).toBe('waits');
    calls.heard('forgetful', 0);
    expect(await calling).toBeInstanceOf(TimeoutError);
  });

  it("call: the signal's reason when aborted, before or in the middle; listeners are not left behind", async () => {
    worker('slow');
    const reason = new Error('enough');
    expect(await rejection(calls.call('slow', task, AbortSignal.abort(reason)))).toBe(reason);
    const aborting = new AbortController();
    const calling = rejection(calls.call('slow', task, aborting.signal));
    aborting.abort(reason);
    expect(await calling).toBe(reason);
  });

  it('garbage on the reply subject fails the one call that it names, as worth another try, and no other', async () => {
    const got = worker('patient');
    const { connection: nc, names, url } = broker;
    const inbox = names.coordinator('c').reply;
    const [first, second] = ['{"ok":true}', Buffer.from([0xff])].map((_, i) => ({
      calling: rejection(calls.call('patient', task, never)),
      body: i === 0 ? '{"ok":true}' : Buffer.from([0xff]),
    }));
    const third = rejection(calls.call('patient', task, never));
    const fourth = calls.call('patient', task, never);
    await nc.flush();
    nc.publish(got[0]!, first!.body);
    nc.publish(got[1]!, second!.body);
    await rawPublish(url, got[2]!, 'a key: with spaces', Buffer.from('{}'));
    for (const subject of [`${inbox}.999`, `${inbox}.x`, got[0]!]) nc.publish(subject, '{}');
    for (const calling of [first!.calling, second!.calling, third])
      expect(await calling).toBeInstanceOf(TimeoutError);
    nc.publish(got[3]!, JSON.stringify(reply));
    expect(await fourth).toEqual(reply);
  });

  it('close: ends what is under way', async () => {
    const own = new WorkerCalls(broker.connection, broker.names, 'closing');
    worker('left');
    const calling = rejection(own.call('left', task, never));
    own.close();
    expect(await calling).toBeInstanceOf(WorkerLostError);
  });
});
