import { labelWidth } from '../../datasets/rows.js';
import { BadRequestError } from '../../protocol/errors.js';
import type { Batch } from '../curvature/batch.js';
import type { ShardClient } from '../shard-client.js';
import { rowsOfShard } from '../thread-operator.js';
import type { RowGradientsInput, Sums } from '../thread-messages.js';

/** ∇ℓ of single source rows (without l2 and the row's weight), in the order asked for. Reads shards until all rows are found. */
export async function rowGradients(
  shards: ShardClient,
  { point, manifest, digest, rows }: RowGradientsInput,
  gradientOf: (row: Batch) => Promise<Float32Array>,
): Promise<Sums> {
  const size = point.parameters.length;
  const values = new Float32Array(rows.length * size);
  const places = new Map<number, number[]>();
  for (const [place, row] of rows.entries()) places.set(row, [...(places.get(row) ?? []), place]);
  for (let shard = 0; shard < manifest.shards.length && places.size > 0; shard++) {
    const decoded = await shards.get(manifest, digest, shard);
    for (let position = 0; position < decoded.rows && places.size > 0; position++) {
      const sourceRow = Number(decoded.sourceRows[position]);
      const wanted = places.get(sourceRow);
      if (!wanted) continue;
      const { width } = manifest.features;
      const row = rowsOfShard(decoded, width, labelWidth(manifest.labels), position, position + 1);
      const gradient = await gradientOf({ ...row, weights: undefined });
      for (const place of wanted) values.set(gradient, place * size);
      places.delete(sourceRow);
    }
  }
  const [missing] = places.keys();
  if (missing !== undefined)
    throw new BadRequestError(`dataset "${manifest.name}" has no source row ${missing}`, {
      details: { row: missing },
    });
  return { nodes: [], values };
}
