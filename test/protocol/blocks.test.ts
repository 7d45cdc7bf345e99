import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { headers, type MsgHdrs } from '@nats-io/nats-core';
import { BlockInbox } from '../../protocol/block-inbox.js';
import { BlockOutbox, creditWindow } from '../../protocol/block-outbox.js';
import { TimeoutError } from '../../protocol/errors.js';
import { frameBytes } from '../../protocol/frames.js';
import { names as namesOf } from '../../protocol/subjects.js';
import { type TestBroker, startTestBroker } from '../support/broker.js';
import { rejection } from '../support/datasets.js';
import { rawPublish } from '../support/raw-publish.js';

let broker: TestBroker;
const closing: { close: () => void }[] = [];

beforeAll(async () => {
  broker = await startTestBroker();
});
afterAll(async () => {
  for (const each of closing) each.close();
  await broker.stop();
});

function outbox(owner: string, options?: { untilReceived: boolean }): BlockOutbox {
  const made = new BlockOutbox(broker.connection, broker.names, owner, options);
  closing.push(made);
  return made;
}
function inbox(owner: string, receiver = 'r', names = broker.names): BlockInbox {
  const made = new BlockInbox(broker.connection, names, owner, receiver);
  closing.push(made);
  return made;
}

const frameFloats = frameBytes / 4;
const ramp = (length: number) => Float32Array.from({ length }, (_, i) => i * 0.5 - 7);
const sameBits = (a: Float32Array | Float64Array, b: Float32Array | Float64Array) =>
  a.constructor === b.constructor &&
  Buffer.compare(
    Buffer.from(a.buffer, a.byteOffset, a.byteLength),
    Buffer.from(b.buffer, b.byteOffset, b.byteLength),
  ) === 0;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('BlockOutbox and BlockInbox', () => {
  it('carry a block of one frame, float32 or float64, at every alignment of the payload', async () => {
    // The payload's offset in what the socket delivered depends on the subject's length.
    for (const owner of ['a', 'ab', 'abc', 'abcd', 'abcde']) {
      const [sender, receiver] = [outbox(owner), inbox(owner)];
      for (const values of [ramp(1001), Float64Array.from([Math.PI, -0, NaN, 1e300]), new Float32Array(0)])
        expect(sameBits(await receiver.get(await sender.send(values, 1)), values)).toBe(true);
    }
  });

  it('carry 40 MB to two receivers', async () => {
    const values = ramp(10_000_000);
    const sender = outbox('large');
    const receivers = [inbox('large', 'one'), inbox('large', 'two')];
    const ref = await sender.send(values, 2);
    expect(ref.frames).toBe(Math.ceil(40_000_000 / frameBytes));
    for (const received of await Promise.all(receivers.map((receiver) => receiver.get(ref))))
      expect(sameBits(received, values)).toBe(true);
  });

  it('release: the next block of that many bytes comes in the same memory, any other in its own', async () => {
    const [sender, receiver] = [outbox('again'), inbox('again')];
    const receive = async (values: Float32Array | Float64Array) => receiver.get(await sender.send(values, 1));
    const first = await receive(ramp(2 * frameFloats));
    const other = await receive(ramp(2 * frameFloats));
    expect(other.buffer).not.toBe(first.buffer);
    receiver.release(first);
    receiver.release(first);
    const shorter = await receive(ramp(5));
    const next = Float64Array.from(ramp(frameFloats), (value) => -value);
    const [again, fresh] = [await receive(next), await receive(next)];
    expect([shorter.buffer, again.buffer, fresh.buffer].map((buffer) => buffer === first.buffer)).toEqual([
      ...[false, true, false],
    ]);
    for (const block of [again, fresh]) expect(sameBits(block, next)).toBe(true);
    expect(sameBits(other, ramp(2 * frameFloats))).toBe(true);
  });

  it('a receiver that comes late gets all frames, as the second of two that ask at once does', async () => {
    const values = ramp(40 * frameFloats + 3);
    const ref = await outbox('late').send(values, 0);
    const received = await Promise.all(['one', 'two'].map((name) => inbox('late', name).get(ref)));
    for (const block of received) expect(sameBits(block, values)).toBe(true);
  });

  it('frames that were altered or lost on the way are noticed and asked for again', async () => {
    const values = ramp(30 * frameFloats);
    const far = namesOf(`${broker.prefix}far`);
    const [here, there] = [broker.names.blocks('relay'), far.blocks('relay')];
    const { connection: nc } = broker;
    const seen = new Map<string, number>();
    let altered = 0;
    nc.subscribe(here.sent, {
      callback: (_, message) => {
        const index = message.headers!.get('Ihvp-Frame');
        const times = (seen.get(index) ?? 0) + 1;
        seen.set(index, times);
        const data = Uint8Array.from(message.data);
        const copy: MsgHdrs = headers();
        for (const key of message.headers!.keys()) copy.set(key, message.headers!.get(key));
        if (times === 1 && Number(index) % 5 === 1) return; // lost
        if (times <= 2 && Number(index) % 3 === 0) {
          altered++;
          data[1000 + times]! ^= 1;
        }
        if (times === 1 && Number(index) % 7 === 2) copy.set('Ihvp-Crc32', 'zz');
        nc.publish(there.sent, data, { headers: copy });
      },
    });
    for (const subject of ['credit', 'resend'] as const)
      nc.subscribe(there[subject], { callback: (_, { data }) => nc.publish(here[subject], data) });
    const receiver = inbox('relay', 'r', far);
    const received = await receiver.get(await outbox('relay').send(values, 1));
    expect(altered).toBe(18); // ten frames twice, but for 6 and 21, which were lost at first
    expect(sameBits(received, values)).toBe(true);
  });

  it('send: no more than a window is under way without credit', async () => {
    const { connection: nc, names } = broker;
    const subjects = names.blocks('paced');
    let frames = 0;
    nc.subscribe(subjects.sent, { callback: () => void frames++ });
    const sender = outbox('paced');
    const sent = sender.send(ramp(64 * frameFloats), 1);
    // A busy machine takes its time for 8 MiB.
    for (let waited = 0; frames < creditWindow && waited < 50; waited++) await pause(100);
    await pause(200);
    expect(frames).toBe(creditWindow);
    sender.close();
    expect(await rejection(sent)).toBeInstanceOf(TimeoutError);
    expect(frames).toBe(creditWindow);
  });

  it('send: a dead receiver delays a block by its patience once, not every frame', async () => {
    const values = ramp(40 * frameFloats);
    const receiver = inbox('dead');
    const began = performance.now();
    const ref = await outbox('dead').send(values, 2);
    expect(performance.now() - began).toBeLessThan(4000); // 1 s of patience; a second for every frame would be 24 s
    expect(sameBits(await receiver.get(ref), values)).toBe(true);
  });

  it('send: ids do not repeat when a sender starts anew under the same name', async () => {
    const ids = new Set<number>();
    for (let i = 0; i < 20; i++) {
      const sender = outbox('anew');
      ids.add((await sender.send(ramp(1), 0)).id);
      ids.add((await sender.send(ramp(1), 0)).id);
      sender.close();
    }
    expect(ids.size).toBe(40);
  });

  it('untilReceived: the block is held until its receiver has it, and no longer', async () => {
    const sender = outbox('kept', { untilReceived: true });
    const [first, second] = [await sender.send(ramp(5), 1), await sender.send(ramp(7), 1)];
    const receiver = inbox('kept');
    expect(await receiver.get(first)).toEqual(ramp(5));
    await broker.connection.flush();
    const late = inbox('kept', 'late');
    expect(await late.get(second)).toEqual(ramp(7));
    const gone = await late.get(first, AbortSignal.timeout(400)).catch((error: Error) => error.name);
    expect(gone).toBe('TimeoutError'); // the signal's: nobody sent it again
  });

  it('get: two at once of the same block are one', async () => {
    const ref = await outbox('twice').send(ramp(9), 0);
    const receiver = inbox('twice');
    const [a, b] = await Promise.all([receiver.get(ref), receiver.get(ref)]);
    expect(a).toEqual(ramp(9));
    expect(b).toEqual(ramp(9));
  });

  it('get: ends at once when aborted or when the inbox is closed', async () => {
    const ref = { owner: 'nobody', id: 1, dtype: 'float32', values: 4, frames: 1 } as const;
    const receiver = inbox('nobody');
    const began = performance.now();
    const aborting = new AbortController();
    const aborted = rejection(receiver.get(ref, aborting.signal));
    const closed = rejection(receiver.get({ ...ref, id: 2 }));
    aborting.abort(new Error('stop'));
    receiver.close();
    expect(await aborted).toMatchObject({ message: 'stop' });
    expect(await closed).toBeInstanceOf(TimeoutError);
    expect(performance.now() - began).toBeLessThan(200);
  });

  it('get: a reference that lies is refused, one to a block that nobody has times out, and neither takes memory', async () => {
    const receiver = inbox('liar');
    const before = process.memoryUsage().rss;
    const huge = { owner: 'liar', id: 1, dtype: 'float32', values: 2 ** 30, frames: 8192 } as const;
    const began = performance.now();
    expect(await rejection(receiver.get({ ...huge, frames: 1 }))).toBeInstanceOf(TimeoutError);
    expect(await rejection(receiver.get({ ...huge, owner: 'other' }))).toBeInstanceOf(TimeoutError);
    expect(performance.now() - began).toBeLessThan(200);
    expect(String(await rejection(receiver.get(huge)))).toContain('8192 of 8192 frames');
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 2 ** 20); // of 4 GiB
  }, 10_000);

  it('garbage on their subjects, malformed headers too, disturbs nothing', async () => {
    const { url, names, connection: nc } = broker;
    const subjects = names.blocks('garbage');
    const [sender, receiver] = [outbox('garbage'), inbox('garbage')];
    const numbers = Buffer.from([0xff, 0xfe, 0, 1]);
    for (const subject of Object.values(subjects)) {
      for (const text of ['', '{', '{"id":-1}', '[]', 'null', '"x"']) nc.publish(subject, text);
      nc.publish(subject, numbers);
      await rawPublish(url, subject, 'no key at all', numbers);
      await rawPublish(url, subject, 'a key: with spaces\r\nIhvp-Block: x\u0001', numbers);
      await rawPublish(
        url,
        subject,
        'Ihvp-Block: 1\r\nIhvp-Frame: 99999999999999999999\r\nIhvp-Frames: -1',
        numbers,
      );
    }
    nc.publish(subjects.resend, '{"id":0,"frames":[0,1e9]}');
    const values = ramp(3 * frameFloats);
    expect(sameBits(await receiver.get(await sender.send(values, 1)), values)).toBe(true);
  });
});
