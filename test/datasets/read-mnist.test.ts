import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { BadFileError } from '../../protocol/errors.js';
import { readMnist } from '../../datasets/read-mnist.js';
import { rejection, withFolder } from '../support/datasets.js';

describe('readMnist', () => {
  // Digits of each class as published with the data (http://yann.lecun.com/exdb/mnist/).
  it.each([
    ['train' as const, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]],
    ['test' as const, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]],
  ])('readMnist: %s has the published counts and pixels', async (split, expected) => {
    const source = await readMnist(split);
    const counts = Array<number>(10).fill(0);
    const pixels = createHash('md5');
    // In Jest's context every look-up of a global is slow.
    const { round } = Math;
    let next = 0;
    for await (const batch of source) {
      expect(batch.firstRow).toBe(next);
      next += batch.rows;
      for (const label of batch.labels) counts[label]!++;
      const bytes = new Uint8Array(batch.features.length);
      for (let at = 0; at < bytes.length; at++) bytes[at] = round(batch.features[at]! * 255);
      pixels.update(bytes);
    }
    expect(source).toMatchObject({ width: 784, rows: next, labels: { kind: 'class', classes: 10 } });
    expect(counts).toEqual(expected);
    if (split === 'test') expect(next).toBe(10_000);
    expect(pixels.digest('hex')).toBe(pixelsMd5[split]);
  });

  it('readMnist: refuses files with a wrong magic number, a wrong length or no matching counts', async () => {
    const idx = (magic: number, sizes: number[], body: number) =>
      Buffer.concat([
        ...[magic, ...sizes].map((value) => Buffer.from([value >> 24, value >> 16, value >> 8, value])),
        Buffer.alloc(body),
      ]);
    const attempt = (images: Buffer, labels: Buffer) =>
      withFolder(async (folder) => {
        await writeFile(join(folder, 't10k-images-idx3-ubyte'), images);
        await writeFile(join(folder, 't10k-labels-idx1-ubyte'), labels);
        return readMnist('test', folder);
      });
    const images = idx(2051, [2, 2, 2], 8);
    const labels = idx(2049, [2], 2);
    expect(await attempt(images, labels)).toMatchObject({ rows: 2, width: 4 });
    const broken: [Buffer, Buffer][] = [
      [idx(2050, [2, 2, 2], 8), labels],
      [images.subarray(0, 23), labels],
      [images.subarray(0, 9), labels],
      [images, labels.subarray(0, 9)],
      [images, idx(2049, [3], 3)],
      [labels, images],
    ];
    for (const [first, second] of broken)
      expect(await rejection(attempt(first, second))).toBeInstanceOf(BadFileError);
  });
});

/** `tail -c +17 FILE | md5sum` of the published files (whole: 6bbc9ace898e44ae57da46a324031adb and 2646ac647ad5339dbf082846283269ea). */
const pixelsMd5 = {
  train: '6510e85a72c3e9475c492d559d3770d2',
  test: '240610fa99e73bfa49df8e7fc24d3206',
};
