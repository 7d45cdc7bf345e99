import type { NatsConnection, Subscription } from '@nats-io/nats-core';
import type { z } from 'zod';
import { creditEvery, type creditSchema, creditWindow, type resendSchema } from './block-outbox.js';
import { TimeoutError, TooLargeError } from './errors.js';
import { frameBytes, frameCount, readFrame, type Frame } from './frames.js';
import { listen } from './listen.js';
import type { Names } from './subjects.js';
import type { BlockRef } from './tasks.js';
import { UnclaimedFrames } from './unclaimed-frames.js';

/** Silence after which missing frames are asked for again, and how often before giving up. */
const patienceMs = 250;
const attempts = 20;
/** Blocks received last, whose frames may still come by because another receiver asked for them. */
const rememberedBlocks = 256;
/** Memory that is kept for blocks to come: a task's reply and one that overtakes it. */
const keptSpares = 2;

type Values = Float32Array | Float64Array;

interface Waiting {
  bytes: Uint8Array;
  missing: Set<number>;
  asked: number[];
  onFrame: () => void;
  /** Ends the present wait at once. */
  wake: () => void;
  values: Promise<Values>;
}

/** Receives the blocks of one sender. Their frames come before the task that names the block, or are asked for. */
export class BlockInbox {
  #nc: NatsConnection;
  #owner: string;
  #subjects: ReturnType<Names['blocks']>;
  #receiver: string;
  #subscription: Subscription;
  #unclaimed = new UnclaimedFrames();
  #waiting = new Map<number, Waiting>();
  #received = new Set<number>();
  #spares: SharedArrayBuffer[] = [];
  #closed = false;

  constructor(nc: NatsConnection, names: Names, owner: string, receiver: string) {
    this.#nc = nc;
    this.#owner = owner;
    this.#subjects = names.blocks(owner);
    this.#receiver = receiver;
    this.#subscription = listen(nc, this.#subjects.sent, ({ headers, data }) => {
      const frame = readFrame(headers, data);
      if (frame) this.#take(frame);
    });
  }

  close(): void {
    this.#closed = true;
    this.#subscription.unsubscribe();
    this.#unclaimed.clear();
    this.#spares = [];
    for (const { wake } of this.#waiting.values()) wake();
  }

  /**
   * The block, in memory that threads can share; it is the caller's. Asks for frames that did not come.
   * @throws TimeoutError when the sender is silent for five seconds, the inbox is closed or the reference cannot be true;
   * TooLargeError where memory is short
   */
  async get(ref: BlockRef, signal?: AbortSignal): Promise<Values> {
    const known = this.#waiting.get(ref.id);
    if (known) return known.values;
    const { values, bytes } = this.#allocate(ref);
    const waiting: Waiting = {
      bytes,
      missing: new Set(Array.from({ length: ref.frames }, (_, index) => index)),
      asked: [],
      onFrame: () => {},
      wake: () => {},
      values: Promise.resolve(values),
    };
    this.#waiting.set(ref.id, waiting);
    for (const frame of this.#unclaimed.claim(ref.id)) store(waiting, frame);
    waiting.values = this.#receive(ref, waiting, signal).then(() => values);
    return waiting.values;
  }

  /**
   * Gives a block's memory back for the next one of its size: nobody may read it any more. New memory for every block
   * would have V8 mark the whole heap every few megabytes.
   */
  release({ buffer }: Values): void {
    if (this.#closed || !(buffer instanceof SharedArrayBuffer) || this.#spares.includes(buffer)) return;
    this.#spares.unshift(buffer);
    this.#spares.length = Math.min(this.#spares.length, keptSpares);
  }

  async #receive(ref: BlockRef, waiting: Waiting, signal?: AbortSignal): Promise<void> {
    const { id, frames } = ref;
    const wake = () => waiting.wake();
    signal?.addEventListener('abort', wake);
    try {
      for (let silent = 0; waiting.missing.size > 0; silent++) {
        signal?.throwIfAborted();
        if (this.#closed)
          throw new TimeoutError(`the line that block ${this.#owner}/${id} came on was closed`);
        if (silent > attempts)
          throw new TimeoutError(
            `${waiting.missing.size} of ${frames} frames of block ${this.#owner}/${id} never came`,
          );
        this.#askFor(id, waiting);
        if (await someCame(waiting)) silent = 0;
      }
    } finally {
      signal?.removeEventListener('abort', wake);
      this.#waiting.delete(id);
    }
    this.#remember(id);
    this.#giveCredit(id, frames, true);
  }

  /** Pages of it take memory only as frames are written to them, so a reference alone costs nothing. */
  #allocate(ref: BlockRef): { values: Values; bytes: Uint8Array } {
    const size = ref.values * (ref.dtype === 'float32' ? 4 : 8);
    if (ref.owner !== this.#owner || ref.frames !== frameCount(size))
      throw new TimeoutError(
        `${ref.owner} has no block ${ref.id} of ${ref.values} values in ${ref.frames} frames`,
      );
    const memory = this.#spares.find(({ byteLength }) => byteLength === size) ?? reserve(size);
    this.#spares = this.#spares.filter((spare) => spare !== memory);
    const values = ref.dtype === 'float32' ? new Float32Array(memory) : new Float64Array(memory);
    return { values, bytes: new Uint8Array(memory) };
  }

  #take(frame: Frame): void {
    const { block: id, index } = frame;
    if (frame.total > creditWindow && (index + 1) % creditEvery === 0) this.#giveCredit(id, index + 1, false);
    const waiting = this.#waiting.get(id);
    if (waiting) {
      store(waiting, frame);
      waiting.onFrame();
    } else if (!this.#received.has(id)) this.#unclaimed.add(frame);
  }

  #remember(id: number): void {
    this.#received.add(id);
    if (this.#received.size > rememberedBlocks) this.#received.delete(this.#received.keys().next().value!);
  }

  #giveCredit(id: number, read: number, complete: boolean): void {
    const credit: z.infer<typeof creditSchema> = { id, receiver: this.#receiver, read, complete };
    this.#nc.publish(this.#subjects.credit, JSON.stringify(credit));
  }

  #askFor(id: number, waiting: Waiting): void {
    waiting.asked = [...waiting.missing].slice(0, creditWindow);
    const request: z.infer<typeof resendSchema> = { id, frames: waiting.asked };
    this.#nc.publish(this.#subjects.resend, JSON.stringify(request));
  }
}

function reserve(size: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(size);
  } catch (cause) {
    throw new TooLargeError(`there is no memory for a block of ${size} bytes`, { cause });
  }
}

function store({ bytes, missing }: Waiting, { index, payload }: Frame): void {
  const offset = index * frameBytes;
  if (payload.byteLength !== Math.min(frameBytes, bytes.byteLength - offset)) return;
  if (missing.delete(index)) bytes.set(payload, offset);
}

/** Waits until all frames that were asked for are there, or none came for a while; whether any came. */
function someCame(waiting: Waiting): Promise<boolean> {
  return new Promise((resolve) => {
    const before = waiting.missing.size;
    let timer: NodeJS.Timeout;
    const rest = () => {
      clearTimeout(timer);
      timer = setTimeout(waiting.wake, patienceMs);
    };
    waiting.wake = () => {
      clearTimeout(timer);
      resolve(waiting.missing.size < before);
    };
    waiting.onFrame = () => {
      if (waiting.asked.some((index) => waiting.missing.has(index))) rest();
      else waiting.wake();
    };
    rest();
  });
}
