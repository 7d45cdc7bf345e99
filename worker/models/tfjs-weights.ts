import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeWeight } from './quantised.js';
import { BadFileError, ForbiddenError, UnsupportedError } from '../../protocol/errors.js';
import type { WeightsManifest, WeightSpec } from './tfjs-file.js';

export interface Weight {
  shape: number[];
  values: Float32Array;
}

/** Bytes of one value. Weights that are not float32 (an optimizer's step count) are stepped over. */
const valueBytes: Readonly<Record<string, number>> = {
  float32: 4,
  int32: 4,
  uint16: 2,
  float16: 2,
  uint8: 1,
  bool: 1,
};

/**
 * The float32 weights that a manifest describes, by name, from weight files in `folder`. Each group's files are one
 * run of bytes, cut at any point; its weights lie in it one after the other, little-endian.
 */
export async function readWeights(
  folder: string,
  manifest: WeightsManifest,
): Promise<{ weights: Map<string, Weight>; notes: string[] }> {
  const weights = new Map<string, Weight>();
  const quantised = new Map<string, number>();
  for (const group of manifest) {
    const sizes = group.weights.map(weightBytes);
    const bytes = Buffer.concat(await Promise.all(group.paths.map((path) => readShard(folder, path))));
    const expected = sizes.reduce((sum, size) => sum + size, 0);
    if (bytes.length !== expected)
      throw new BadFileError(
        `${group.paths.join(' + ')}: ${bytes.length} bytes of weights, model.json tells of ${expected}`,
        { hint: 'copy the weight files again: they are truncated or of another model' },
      );
    let offset = 0;
    for (const [index, { name, shape, dtype, quantization }] of group.weights.entries()) {
      const end = offset + sizes[index]!;
      if (weights.has(name))
        throw new BadFileError(`model.json has two weights named "${name}"`, { details: { weight: name } });
      if (dtype === 'float32')
        weights.set(name, {
          shape,
          values: decodeWeight(bytes.subarray(offset, end), quantization),
        });
      if (quantization) quantised.set(quantization.dtype, (quantised.get(quantization.dtype) ?? 0) + 1);
      offset = end;
    }
  }
  const notes = [...quantised].map(
    ([type, count]) =>
      `${count} weights were stored as ${type} and are taken as the float32 values nearest to them: θ̂ is that of the quantised model`,
  );
  return { weights, notes };
}

function weightBytes({ name, shape, dtype, quantization }: WeightSpec): number {
  const size = valueBytes[quantization?.dtype ?? dtype];
  if (size === undefined || (quantization !== undefined && dtype !== 'float32'))
    throw new UnsupportedError(
      `weight "${name}" is of type ${dtype}${quantization ? `, quantised to ${quantization.dtype}` : ''}; float32 is read, and float32 quantised to float16, uint16 or uint8`,
      { hint: 'convert the model again without quantisation', details: { weight: name } },
    );
  return shape.reduce((product, length) => product * length, size);
}

async function readShard(folder: string, path: string): Promise<Buffer> {
  // A model file that came from elsewhere must not make us read this machine's other files.
  if (!/^[^/\\]+$/.test(path) || path === '.' || path === '..')
    throw new ForbiddenError(`the weight file "${path}" does not lie beside model.json`, {
      hint: 'put the weight files into the folder of model.json and name them without a folder',
      details: { path },
    });
  try {
    return await readFile(join(folder, path));
  } catch (cause) {
    throw new BadFileError(
      `the weight file ${join(folder, path)} cannot be read: ${(cause as Error).message}`,
      {
        hint: 'copy the weight files into the folder of model.json',
        details: { path },
        cause,
      },
    );
  }
}
