import { readFile } from 'node:fs/promises';
import { BadFileError } from '../protocol/errors.js';
import { decodeNpy } from '../protocol/npy.js';
import { decodeVectors, type VectorBlock } from '../protocol/vectors.js';

/** A block of vectors from an Arrow IPC file or, by its name, a `.npy` file. @throws BadFileError, NotFiniteError */
export async function readVectors(path: string): Promise<VectorBlock> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new BadFileError(`${path} cannot be read: ${(cause as Error).message}`, {
      hint: 'check the path, from the folder you are in',
      cause,
    });
  });
  return path.endsWith('.npy') ? decodeNpy(bytes) : decodeVectors(bytes);
}
