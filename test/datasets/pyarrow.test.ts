import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { readArrow } from '../../datasets/read-arrow.js';
import { importDataset } from '../../datasets/import.js';
import { sha256 } from '../../protocol/digest.js';
import { decodeShard } from '../../datasets/shard-reader.js';
import { FileStore } from '../../datasets/stores/file-store.js';
import { gaussianClusters } from '../../datasets/synthetic.js';
import { allRows, withFolder } from '../support/datasets.js';

const python = 'python3';
const hasPyarrow = spawnSync(python, ['-c', 'import pyarrow']).status === 0;
const itWithPyarrow = hasPyarrow ? it : it.skip;
const note = hasPyarrow ? '' : ' (skipped: pyarrow not installed)';

/** Prints the columns of a shard and their sums, and writes it again, as pyarrow does. */
const script = `
import json, sys
import pyarrow as pa, pyarrow.compute as pc
with pa.memory_map(sys.argv[1]) as file:
    table = pa.ipc.open_file(file).read_all()
    table.validate(full=True)
    print(json.dumps({
        'schema': [f'{f.name}: {f.type}' + ('' if f.nullable else ' not null') for f in table.schema],
        'rows': table.num_rows,
        'features': pc.sum(pc.cast(pc.list_flatten(table['features']), 'float64')).as_py(),
        'labels': table['label'].to_pylist(),
        'source_rows': table['row'].to_pylist(),
    }))
    with pa.ipc.new_file(sys.argv[2], table.schema) as out:
        out.write_table(table)
`;

describe('pyarrow', () => {
  itWithPyarrow(`pyarrow: opens a shard, and what it writes is read${note}`, () =>
    withFolder(async (folder, url) => {
      const source = gaussianClusters({ rows: 50, width: 4, seed: 3 });
      const store = new FileStore(url);
      const manifest = await importDataset({
        source,
        name: 'clusters',
        store,
        shuffleSeed: 1,
        shardRows: 30,
      });
      const shard = manifest.shards[1]!;
      const copy = join(folder, 'copy.arrow');
      const output = execFileSync(python, ['-c', script, join(folder, shard.name), copy], {
        encoding: 'utf8',
      });
      const decoded = decodeShard((await store.get(shard.name))!, manifest, 1);
      const seen = JSON.parse(output) as { features: number };
      expect(seen).toMatchObject({
        schema: [
          'features: fixed_size_list<item: float not null>[4] not null',
          'label: int32 not null',
          'row: int32 not null',
        ],
        rows: 25,
        labels: [...decoded.labels],
        source_rows: [...decoded.sourceRows],
      });
      // Sums of 100 float32 numbers in float64: only the order of addition may differ.
      expect(seen.features).toBeCloseTo(
        decoded.features.reduce((sum, value) => sum + value, 0),
        10,
      );

      const bytes = (await store.get('copy.arrow'))!;
      const changed = { ...shard, bytes: bytes.length, sha256: sha256(bytes) };
      expect(decodeShard(bytes, { ...manifest, shards: [manifest.shards[0]!, changed] }, 1)).toEqual(decoded);
      const again = await allRows(await readArrow(copy, { label: 'label' }));
      expect(again.map(({ labels }) => labels[0])).toEqual([...decoded.labels]);
      expect(again.flatMap(({ features }) => features)).toEqual([...decoded.features]);
    }),
  );
});
