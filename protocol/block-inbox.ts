import type { NatsConnection, Subscription } from '@nats-io/nats-core';
import type { z } from 'zod';
import { type creditSchema, creditWindow, type resendSchema } from './block-outbox.js';
import { TimeoutError } from './errors.js';
import { frameBytes, frameCount, readFrame, type Frame } from './frames.js';
import type { Names } from './subjects.js';
import type { BlockRef } from './tasks.js';

/** Silence after which missing frames are asked for, and how often before giving up. */
const patienceMs = 250;
const attempts = 20;
/** Frames that arrived before their task: past this the oldest are dropped, to be asked for again if wanted. */
const unclaimedBytes = 256 * 2 ** 20;
const creditEvery = creditWindow / 4;

interface Waiting {
  bytes: Uint8Array;
  missing: Set<number>;
  progress: () => void;
}

/** Receives the blocks of one sender. Frames come before or after the task that names their block. */
export class BlockInbox {
  #nc: NatsConnection;
  #subjects: ReturnType<Names['blocks']>;
  #receiver: string;
  #subscription: Subscription;
  #unclaimed = new Map<number, Map<number, Frame>>();
  #unclaimedBytes = 0;
  #waiting = new Map<number, Waiting>();

  constructor(nc: NatsConnection, names: Names, owner: string, receiver: string) {
    this.#nc = nc;
    this.#subjects = names.blocks(owner);
    this.#receiver = receiver;
    this.#subscription = nc.subscribe(this.#subjects.sent, {
      callback: (_, message) => {
        const frame = readFrame(message.headers, message.data);
        if (frame) this.#take(frame);
      },
    });
  }

  close(): void {
    this.#subscription.unsubscribe();
    this.#unclaimed.clear();
  }

  /**
   * The block, in memory that threads can share. Asks for frames that do not come.
   * @throws TimeoutError when the sender is silent for five seconds
   */
  async get(ref: BlockRef, signal?: AbortSignal): Promise<Float32Array | Float64Array> {
    const memory = new SharedArrayBuffer(ref.values * (ref.dtype === 'float32' ? 4 : 8));
    const values = ref.dtype === 'float32' ? new Float32Array(memory) : new Float64Array(memory);
    const bytes = new Uint8Array(memory);
    if (ref.frames !== frameCount(bytes.byteLength))
      throw new TimeoutError(`block ${ref.owner}/${ref.id} does not have the frames its size needs`);
    const waiting: Waiting = {
      bytes,
      missing: new Set(Array.from({ length: ref.frames }, (_, index) => index)),
      progress: () => {},
    };
    this.#waiting.set(ref.id, waiting);
    for (const frame of this.#claim(ref.id)) this.#store(waiting, frame);
    try {
      for (let silent = 0; waiting.missing.size > 0;) {
        signal?.throwIfAborted();
        if (await this.#progress(waiting)) silent = 0;
        else if (++silent > attempts)
          throw new TimeoutError(
            `${waiting.missing.size} of ${ref.frames} frames of block ${ref.owner}/${ref.id} never came`,
          );
        else this.#askFor(ref.id, waiting);
      }
    } finally {
      this.#waiting.delete(ref.id);
    }
    return values;
  }

  #take(frame: Frame): void {
    const waiting = this.#waiting.get(frame.block);
    if (waiting) {
      this.#store(waiting, frame);
      waiting.progress();
      this.#giveCredit(frame, frame.total - waiting.missing.size);
      return;
    }
    let frames = this.#unclaimed.get(frame.block);
    if (!frames) this.#unclaimed.set(frame.block, (frames = new Map<number, Frame>()));
    if (!frames.has(frame.index)) this.#unclaimedBytes += frame.payload.byteLength;
    frames.set(frame.index, frame);
    this.#giveCredit(frame, frames.size);
    while (this.#unclaimedBytes > unclaimedBytes) this.#claim(this.#unclaimed.keys().next().value!);
  }

  #claim(id: number): Iterable<Frame> {
    const frames = this.#unclaimed.get(id);
    this.#unclaimed.delete(id);
    if (!frames) return [];
    for (const frame of frames.values()) this.#unclaimedBytes -= frame.payload.byteLength;
    return frames.values();
  }

  #store({ bytes, missing }: Waiting, { index, payload }: Frame): void {
    const offset = index * frameBytes;
    if (payload.byteLength !== Math.min(frameBytes, bytes.byteLength - offset)) return;
    if (missing.delete(index)) bytes.set(payload, offset);
  }

  #progress(waiting: Waiting): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), patienceMs);
      waiting.progress = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }

  #giveCredit({ block, total, index }: Frame, received: number): void {
    if (total <= creditWindow || (index + 1) % creditEvery !== 0) return;
    const credit: z.infer<typeof creditSchema> = { id: block, receiver: this.#receiver, received };
    this.#nc.publish(this.#subjects.credit, JSON.stringify(credit));
  }

  #askFor(id: number, { missing }: Waiting): void {
    const request: z.infer<typeof resendSchema> = { id, frames: [...missing].slice(0, creditWindow) };
    this.#nc.publish(this.#subjects.resend, JSON.stringify(request));
  }
}
