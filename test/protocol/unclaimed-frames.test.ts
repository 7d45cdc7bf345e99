import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { UnclaimedFrames } from '../../protocol/unclaimed-frames.js';

const frame = (block: number, index: number, bytes = 1000) => ({
  block,
  index,
  total: 100,
  payload: new Uint8Array(bytes),
});

describe('UnclaimedFrames', () => {
  it('claim: the frames of a block, once', () => {
    const frames = new UnclaimedFrames();
    frames.add(frame(1, 0));
    frames.add(frame(2, 0));
    frames.add(frame(1, 3));
    expect(frames.claim(1).map(({ index }) => index)).toEqual([0, 3]);
    expect(frames.claim(1)).toEqual([]);
    expect(frames.claim(2)).toHaveLength(1);
  });

  it('add: past the limit the oldest blocks go first, and a block larger than the limit keeps its first frames', () => {
    const frames = new UnclaimedFrames(5000);
    for (let index = 0; index < 3; index++) frames.add(frame(1, index));
    frames.add(frame(2, 0));
    expect(frames.claim(1)).toEqual([]);
    for (let index = 0; index < 10; index++) frames.add(frame(3, index));
    expect(frames.claim(3).map(({ index }) => index)).toEqual([0, 1, 2]);
  });

  it('add: holds no more than the limit, whatever comes', () => {
    const limit = 20_000;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(5), fc.nat(9), fc.nat(6000), fc.boolean()), { maxLength: 200 }),
        (steps) => {
          const frames = new UnclaimedFrames(limit);
          for (const [block, index, bytes, claim] of steps)
            if (claim) frames.claim(block);
            else frames.add(frame(block, index, bytes));
          let held = 0;
          for (let block = 0; block < 6; block++)
            for (const { payload } of frames.claim(block)) held += payload.byteLength;
          expect(held).toBeLessThanOrEqual(limit);
          // Nothing is counted that is not held: all of the limit is there again.
          for (let index = 0; index < 15; index++) frames.add(frame(7, index, 1000));
          expect(frames.claim(7)).toHaveLength(15);
        },
      ),
    );
  });
});
