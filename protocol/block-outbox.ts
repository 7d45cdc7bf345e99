import type { NatsConnection, Subscription } from '@nats-io/nats-core';
import { z } from 'zod';
import { frameCount, frameHeaders, framePayload } from './frames.js';
import { parseJson } from './parse.js';
import type { Names } from './subjects.js';
import type { BlockRef } from './tasks.js';

/** A receiver has this many frames of the block. */
export const creditSchema = z.strictObject({
  id: z.int().min(0),
  receiver: z.string().max(129),
  received: z.int().min(0),
});
/** Asks the owner of a block to publish some of its frames again. */
export const resendSchema = z.strictObject({
  id: z.int().min(0),
  frames: z.array(z.int().min(0)).min(1).max(1024),
});

/** Frames that may be under way without a receiver's credit: 8 MiB, far below what makes a server drop a consumer. */
export const creditWindow = 16;
/** A receiver that gives no credit for this long is waited for no more; it can still ask for what it lacks. */
const creditPatienceMs = 1000;
interface SentBlock {
  bytes: Uint8Array;
  frames: number;
  /** Frames received, by receiver. */
  credit: Map<string, number>;
}

/**
 * Sends blocks of vectors as frames on `blocks.<owner>.sent`, at the pace of its slowest receiver, and sends again what
 * a receiver lacks. A block's array belongs to the outbox until `release`, or until `keep` more were sent.
 */
export class BlockOutbox {
  #nc: NatsConnection;
  #subjects: ReturnType<Names['blocks']>;
  #owner: string;
  #keep: number;
  #sent = new Map<number, SentBlock>();
  #next = 0;
  #subscriptions: Subscription[];
  #creditArrived: () => void = () => {};

  constructor(nc: NatsConnection, names: Names, owner: string, keep = Infinity) {
    this.#nc = nc;
    this.#keep = keep;
    this.#owner = owner;
    this.#subjects = names.blocks(owner);
    this.#subscriptions = [
      nc.subscribe(this.#subjects.resend, { callback: (_, message) => this.#resend(message.data) }),
      nc.subscribe(this.#subjects.credit, { callback: (_, message) => this.#takeCredit(message.data) }),
    ];
  }

  /** Publishes the block to `receivers` subscribers and resolves once the last frame is on its way. */
  async send(values: Float32Array | Float64Array, receivers: number): Promise<BlockRef> {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    const block: SentBlock = { bytes, frames: frameCount(bytes.byteLength), credit: new Map() };
    const id = this.#next++;
    this.#sent.set(id, block);
    if (this.#sent.size > this.#keep) this.release(this.#sent.keys().next().value!);
    for (let index = 0; index < block.frames; index++) {
      if (index >= creditWindow) await this.#credit(block, index - creditWindow + 1, receivers);
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
    this.#sent.delete(id);
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    this.#sent.clear();
  }

  #publish(id: number, block: SentBlock, index: number): void {
    const payload = framePayload(block.bytes, index);
    const fields = frameHeaders({ block: id, index, total: block.frames, payload });
    this.#nc.publish(this.#subjects.sent, payload, { headers: fields });
  }

  /** Waits until `receivers` of them have `wanted` frames, or no credit came for a while. */
  async #credit(block: SentBlock, wanted: number, receivers: number): Promise<void> {
    const satisfied = () =>
      [...block.credit.values()].filter((received) => received >= wanted).length >= receivers;
    while (!satisfied()) {
      const progressed = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), creditPatienceMs);
        this.#creditArrived = () => {
          clearTimeout(timer);
          resolve(true);
        };
      });
      if (!progressed) return;
    }
  }

  #takeCredit(data: Uint8Array): void {
    const credit = ignoreGarbage(() => parseJson(creditSchema, data, 'credit'));
    const block = credit && this.#sent.get(credit.id);
    if (!block) return;
    block.credit.set(credit.receiver, credit.received);
    this.#creditArrived();
  }

  #resend(data: Uint8Array): void {
    const wanted = ignoreGarbage(() => parseJson(resendSchema, data, 'resend'));
    const block = wanted && this.#sent.get(wanted.id);
    if (!block) return;
    for (const index of wanted.frames.slice(0, creditWindow))
      if (index < block.frames) this.#publish(wanted.id, block, index);
  }
}

/** Nobody waits for an answer on these subjects, so a malformed message is dropped. */
function ignoreGarbage<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}
