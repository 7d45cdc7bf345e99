import { z } from 'zod';

/** Names of datasets, models and jobs: safe as a KV key, a subject token and a file name. */
export const nameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/,
    'a name is 1–64 letters, digits, "_" or "-", and begins with a letter or digit',
  );

export const sha256Schema = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'a SHA-256 is 64 lower-case hexadecimal digits');

/** Largest sizes that are accepted from outside, so that no message can make a process allocate without bound. */
export const limits = {
  /** Right-hand sides of one request. */
  rightHandSides: 4096,
  /** Float32 values of one block of vectors (K × p): 4 GiB. */
  blockValues: 2 ** 30,
  /** p of a direct solve. */
  denseParameters: 8192,
  features: 2 ** 24,
  shards: 1_000_000,
  /** Of one operator. */
  leaves: 2 ** 20,
  layers: 1000,
  /** Values of one array of a layer: a parameter, or a row's output. */
  layerValues: 2 ** 28,
  /** Channels of a batch normalisation, whose statistics are part of the description. */
  channels: 2 ** 14,
  /** Rows of a leaf or minibatch. */
  leafRows: 1_048_576,
} as const;
