import type { Frame } from './frames.js';

/** Past this frames are dropped, to be asked for again if wanted. */
const defaultLimit = 256 * 2 ** 20;
/** Memory of a frame beside its payload, roughly. */
const overhead = 256;

/** Frames that came before the task that names their block: a bounded amount of them, the oldest blocks out first. */
export class UnclaimedFrames {
  #limit: number;
  #blocks = new Map<number, Map<number, Frame>>();
  #bytes = 0;

  constructor(limit = defaultLimit) {
    this.#limit = limit;
  }

  add(frame: Frame): void {
    const { block, index, payload } = frame;
    if (this.#blocks.get(block)?.has(index)) return;
    const size = payload.byteLength + overhead;
    for (const oldest of this.#blocks.keys()) {
      if (this.#bytes + size <= this.#limit || oldest === block) break;
      this.claim(oldest);
    }
    if (this.#bytes + size > this.#limit) return;
    const frames = this.#blocks.get(block);
    if (frames) frames.set(index, frame);
    else this.#blocks.set(block, new Map([[index, frame]]));
    this.#bytes += size;
  }

  /** The frames of a block, which are forgotten. */
  claim(block: number): Frame[] {
    const frames = [...(this.#blocks.get(block)?.values() ?? [])];
    this.#blocks.delete(block);
    for (const { payload } of frames) this.#bytes -= payload.byteLength + overhead;
    return frames;
  }

  clear(): void {
    this.#blocks.clear();
    this.#bytes = 0;
  }
}
