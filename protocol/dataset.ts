import { z } from 'zod';
import { limits, nameSchema, sha256Schema } from './names.js';

/**
 * `class`: int32 class ids 0…classes−1 (a two-class problem with one logit uses 0 and 1); `names[id]` is the value in
 * the source where that was not the id itself. `real`: float32 × width.
 */
export const labelsSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('class'),
    classes: z.int().min(2).max(limits.features),
    names: z.array(z.string()).optional(),
  }),
  z.strictObject({ kind: z.literal('real'), width: z.int().min(1).max(limits.features) }),
]);

export const shardSchema = z.strictObject({
  /** Object or file name, relative to the dataset's location. */
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/),
  rows: z.int().min(1),
  bytes: z.int().min(1),
  sha256: sha256Schema,
});

/**
 * What a dataset is. A shard is an Arrow IPC file with the columns `features` (FixedSizeList<float32>[width]),
 * `label` (int32 for `class`; float32 or FixedSizeList<float32> for `real`), `row` (int64 or int32: source row, from 0)
 * and, where rows have weights, `weight` (float32, ≥ 0).
 * Rows were permuted once over the whole dataset with `shuffleSeed`, so that every shard is an unbiased sample;
 * shard sizes differ by at most one row.
 */
export const manifestSchema = z.strictObject({
  format: z.literal('ihvp-dataset'),
  version: z.literal(1),
  name: nameSchema,
  /** Where the shards lie: `nats:` (this farm's object store) or a `file:///…/` folder. */
  location: z.union([
    z.literal('nats:'),
    z.string().regex(/^file:\/\/\/.*\/$/, 'a file location is file:///…/'),
  ]),
  rows: z.int().min(1),
  features: z.strictObject({ width: z.int().min(1).max(limits.features) }),
  labels: labelsSchema,
  /** Where rows have weights: means over the dataset are weighted by them, so divided by their sum. */
  weights: z.strictObject({ sum: z.number().positive() }).optional(),
  shuffleSeed: z.int().min(0),
  shards: z.array(shardSchema).min(1).max(limits.shards),
  /** What was imported, for people: a file name, `mnist train`. */
  source: z.string(),
  created: z.iso.datetime(),
});

export type Labels = z.infer<typeof labelsSchema>;
export type Shard = z.infer<typeof shardSchema>;
export type Manifest = z.infer<typeof manifestSchema>;

/** What sums over the rows are divided by: the sum of their weights, n where they have none. */
export function totalWeight({ rows, weights }: Pick<Manifest, 'rows' | 'weights'>): number {
  return weights?.sum ?? rows;
}
