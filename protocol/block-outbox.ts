import { randomInt } from 'node:crypto';
import type { NatsConnection, Subscription } from '@nats-io/nats-core';
import { z } from 'zod';
import { TimeoutError } from './errors.js';
import { frameCount, frameHeaders, framePayload } from './frames.js';
import { listen } from './listen.js';
import { parseJson } from './parse.js';
import type { Names } from './subjects.js';
import type { BlockRef } from './tasks.js';

/** How far a receiver has read. */
export const creditSchema = z.strictObject({
  id: z.int().min(0),
  receiver: z.string().max(256),
  /** The last frame that came by, plus 1; those before it may be missing. */
  read: z.int().min(0),
  /** Whether the receiver has the whole block and will not ask for it again. */
  complete: z.boolean(),
});
/** Asks the owner of a block to publish some of its frames again. */
export const resendSchema = z.strictObject({
  id: z.int().min(0),
  frames: z.array(z.int().min(0)).min(1).max(1024),
});

/** Frames that may be under way without a receiver's credit: 8 MiB, far below what makes a server drop a consumer. */
export const creditWindow = 16;
/** Receivers report every so many frames. */
export const creditEvery = creditWindow / 4;
/** A receiver that gives no credit for this long is waited for no more; it can still ask for what it lacks. */
const creditPatienceMs = 1000;
/** Several receivers may ask for the same frame at once; it goes to all of them. Less than their patience. */
const resendQuietMs = 100;

interface SentBlock {
  bytes: Uint8Array;
  frames: number;
  /** How many receivers set the pace. */
  receivers: number;
  /** Frames read, by receiver. */
  read: Map<string, number>;
  complete: Set<string>;
  /** When a frame was last sent again. */
  resent: Map<number, number>;
  onCredit: () => void;
}

/**
 * Sends blocks of vectors as frames on `blocks.<owner>.sent`, at the pace of its slowest receiver, and sends again what
 * a receiver lacks. A block's array belongs to the outbox until it is released: by `release`, or, with
 * `untilReceived`, once all its receivers have it.
 */
export class BlockOutbox {
  #nc: NatsConnection;
  #subjects: ReturnType<Names['blocks']>;
  #owner: string;
  #untilReceived: boolean;
  #sent = new Map<number, SentBlock>();
  /** From a random number on, so that a sender that starts anew under the same name never repeats an id. */
  #next = randomInt(2 ** 47);
  #subscriptions: Subscription[];
  #closed = false;

  constructor(nc: NatsConnection, names: Names, owner: string, { untilReceived = false } = {}) {
    this.#nc = nc;
    this.#owner = owner;
    this.#untilReceived = untilReceived;
    this.#subjects = names.blocks(owner);
    this.#subscriptions = [
      listen(nc, this.#subjects.resend, ({ data }) => this.#resend(data)),
      listen(nc, this.#subjects.credit, ({ data }) => this.#takeCredit(data)),
    ];
  }

  /**
   * Publishes the block to `receivers` subscribers and resolves once the last frame is on its way.
   * @throws TimeoutError where the block is released, or the outbox closed, before that
   */
  async send(values: Float32Array | Float64Array, receivers: number): Promise<BlockRef> {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const id = this.#next++;
    const block: SentBlock = {
      bytes,
      frames: frameCount(bytes.byteLength),
      receivers,
      read: new Map(),
      complete: new Set(),
      resent: new Map(),
      onCredit: () => {},
    };
    if (!this.#closed) this.#sent.set(id, block);
    for (let index = 0; index < block.frames; index++) {
      if (index >= creditWindow && index % creditEvery === 0)
        await this.#pace(id, block, index + creditEvery - creditWindow);
      if (!this.#sent.has(id)) throw new TimeoutError(`block ${this.#owner}/${id} was not sent to its end`);
      this.#publish(id, block, index);
    }
    return {
      owner: this.#owner,
      id,
      dtype: values instanceof Float32Array ? 'float32' : 'float64',
      values: values.length,
      frames: block.frames,
    };
  }

  release(id: number): void {
    this.#sent.get(id)?.onCredit();
    this.#sent.delete(id);
  }

  close(): void {
    this.#closed = true;
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    for (const id of [...this.#sent.keys()]) this.release(id);
  }

  #publish(id: number, block: SentBlock, index: number): void {
    const payload = framePayload(block.bytes, index);
    const fields = frameHeaders({ block: id, index, total: block.frames, payload });
    this.#nc.publish(this.#subjects.sent, payload, { headers: fields });
  }

  /** Waits until all receivers have read `wanted` frames; whoever stays silent is waited for no more. */
  async #pace(id: number, block: SentBlock, wanted: number): Promise<void> {
    const ready = () => [...block.read.values()].filter((read) => read >= wanted).length;
    while (ready() < block.receivers) {
      const progressed = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), creditPatienceMs);
        block.onCredit = () => {
          clearTimeout(timer);
          resolve(true);
        };
      });
      if (!this.#sent.has(id)) return;
      if (!progressed) block.receivers = ready();
    }
    // Without a receiver the server sets the pace. A broken connection is no matter: what got lost is asked for.
    if (block.receivers === 0) await this.#nc.flush().catch(() => {});
  }

  #takeCredit(data: Uint8Array): void {
    const { id, receiver, read, complete } = parseJson(creditSchema, data, 'credit');
    const block = this.#sent.get(id);
    if (!block) return;
    block.read.set(receiver, Math.max(read, block.read.get(receiver) ?? 0));
    if (complete) block.complete.add(receiver);
    block.onCredit();
    if (this.#untilReceived && block.complete.size >= Math.max(1, block.receivers)) this.release(id);
  }

  #resend(data: Uint8Array): void {
    const { id, frames } = parseJson(resendSchema, data, 'resend');
    const block = this.#sent.get(id);
    if (!block) return;
    const now = performance.now();
    for (const index of frames.slice(0, creditWindow)) {
      if (index >= block.frames || now - (block.resent.get(index) ?? -Infinity) < resendQuietMs) continue;
      block.resent.set(index, now);
      this.#publish(id, block, index);
    }
  }
}
