import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RecordBatchReader } from 'apache-arrow';
import type { Labels, Manifest } from '../../protocol/dataset.js';
import { CorruptShardError, IhvpError, LabelOutOfRangeError, NotFiniteError } from '../../protocol/errors.js';
import { decodeShard } from '../../datasets/shard-reader.js';
import { sha256 } from '../../protocol/digest.js';
import { defaultShardRows, encodeShard, shardSizes } from '../../datasets/shard-writer.js';

const classes: Labels = { kind: 'class', classes: 10 };
const shard = {
  features: Float32Array.of(1, 2, 3, 4, 5, 6),
  labels: Int32Array.of(7, 0),
  rows: 2,
  sourceRows: Float64Array.of(4711, 3),
};

/** A manifest that tells of exactly these bytes. */
function manifestOf(bytes: Uint8Array, { rows = 2, width = 3, labels = classes } = {}): Manifest {
  return {
    format: 'ihvp-dataset',
    version: 1,
    name: 'mnist',
    location: 'nats:',
    rows,
    features: { width },
    labels,
    shuffleSeed: 1,
    shards: [{ name: 'shard-00003', rows, bytes: bytes.length, sha256: sha256(bytes) }],
    source: 'test',
    created: '2024-01-01T00:00:00Z',
  };
}

/** The shard as another program may write it: nothing checked. */
function unchecked(change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = encodeShard(shard, 3, classes);
  change(bytes);
  return bytes;
}

function replaceFloat(bytes: Uint8Array, from: number, to: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + 4 <= bytes.length; at += 4)
    if (view.getFloat32(at, true) === from) view.setFloat32(at, to, true);
}

function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('no error was thrown');
}

describe('shardSizes', () => {
  it('shardSizes: ⌈rows / shardRows⌉ shards that add up and differ by at most one row', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100_000 }),
        fc.integer({ min: 1, max: 5000 }),
        (rows, shardRows) => {
          const sizes = shardSizes(rows, shardRows);
          expect(sizes).toHaveLength(Math.ceil(rows / shardRows));
          expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(rows);
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
          expect(Math.max(...sizes)).toBeLessThanOrEqual(shardRows);
        },
      ),
    );
    expect(shardSizes(60_000, defaultShardRows(784, classes))).toEqual(Array(15).fill(4000));
  });
});

describe('encodeShard', () => {
  it('encodeShard: decodeShard gives the same rows back, for each kind of label and any source row', () => {
    const labels: [Labels, Int32Array | Float32Array][] = [
      [classes, Int32Array.of(7, 0)],
      [{ kind: 'real', width: 1 }, Float32Array.of(0.5, -2)],
      [{ kind: 'real', width: 2 }, Float32Array.of(0.5, -2, 3, 4)],
    ];
    for (const [kind, values] of labels)
      for (const sourceRows of [Float64Array.of(5, 2 ** 31 - 1), Float64Array.of(2 ** 40, 1)]) {
        const bytes = encodeShard({ ...shard, labels: values, sourceRows }, 3, kind);
        const decoded = decodeShard(bytes, manifestOf(bytes, { labels: kind }), 0);
        expect(decoded.features).toEqual(shard.features);
        expect(decoded.labels).toEqual(values);
        expect([...decoded.sourceRows].map(Number)).toEqual([...sourceRows]);
      }
  });

  it('encodeShard: refuses NaN and infinity, naming the source row', () => {
    const features = Float32Array.of(1, 2, 3, 4, -Infinity, 6);
    const error = thrown(() => encodeShard({ ...shard, features }, 3, classes));
    expect(error).toBeInstanceOf(NotFiniteError);
    expect(error).toMatchObject({ message: '-Infinity in source row 3, feature 1' });
    const labels = Float32Array.of(1, NaN);
    expect(thrown(() => encodeShard({ ...shard, labels }, 3, { kind: 'real', width: 1 }))).toMatchObject({
      message: 'NaN in source row 3, label 0',
    });
  });
});

describe('decodeShard', () => {
  it('decodeShard: copies nothing of an aligned buffer, and reads shared and unaligned ones', () => {
    const bytes = encodeShard(shard, 3, classes);
    const manifest = manifestOf(bytes);
    const aligned = new Uint8Array(bytes);
    expect(decodeShard(aligned, manifest, 0).features.buffer).toBe(aligned.buffer);
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    const decoded = decodeShard(shared, manifest, 0);
    expect(decoded.features.buffer).toBe(shared.buffer);
    expect(decoded.features).toEqual(shard.features);
    const unaligned = new Uint8Array(bytes.length + 3).subarray(3);
    unaligned.set(bytes);
    expect(decodeShard(unaligned, manifest, 0).features).toEqual(shard.features);
  });

  it('decodeShard: NaN, with row, shard, source row and feature', () => {
    const bytes = unchecked((raw) => {
      replaceFloat(raw, 6, NaN);
    });
    const error = thrown(() => decodeShard(bytes, manifestOf(bytes), 0));
    expect(error).toBeInstanceOf(NotFiniteError);
    expect(error).toMatchObject({
      message: 'NaN in row 1 of shard mnist/shard-00003 (source row 3), feature 2',
      details: { dataset: 'mnist', shard: 'shard-00003', row: 1, sourceRow: 3, feature: 2 },
    });
  });

  it('decodeShard: a class out of range, with shard and source row', () => {
    const bytes = encodeShard(shard, 3, classes);
    const error = thrown(() =>
      decodeShard(bytes, manifestOf(bytes, { labels: { kind: 'class', classes: 7 } }), 0),
    );
    expect(error).toBeInstanceOf(LabelOutOfRangeError);
    expect(error).toMatchObject({
      message:
        'class 7 in row 0 of shard mnist/shard-00003 (source row 4711); the dataset has classes 0 to 6',
    });
  });

  it('decodeShard: a file with other rows, width or label type than the manifest says', () => {
    const bytes = encodeShard(shard, 3, classes);
    const wrong: [Manifest, RegExp][] = [
      [manifestOf(bytes, { rows: 3 }), /it has 2 rows, the manifest says 3/],
      [manifestOf(bytes, { width: 2 }), /"features" is FixedSizeList, not FixedSizeList<float32>\[2\]/],
      [manifestOf(bytes, { labels: { kind: 'real', width: 1 } }), /"label" is Int/],
      [manifestOf(bytes, { labels: { kind: 'real', width: 2 } }), /"label" is Int/],
    ];
    for (const [manifest, message] of wrong) {
      const error = thrown(() => decodeShard(bytes, manifest, 0));
      expect(error).toBeInstanceOf(CorruptShardError);
      expect((error as Error).message).toMatch(message);
    }
  });

  it('decodeShard: truncated or altered bytes', () => {
    const bytes = encodeShard(shard, 3, classes);
    const manifest = manifestOf(bytes);
    expect(() => decodeShard(bytes.subarray(0, bytes.length - 1), manifest, 0)).toThrow(
      /bytes, the manifest says/,
    );
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
        const altered = new Uint8Array(bytes);
        altered[at]! ^= bits;
        expect(thrown(() => decodeShard(altered, manifest, 0))).toBeInstanceOf(CorruptShardError);
      }),
    );
  });

  it('decodeShard: bytes that a manifest vouches for but that are damaged give a coded error or rows of the right shape', () => {
    const bytes = encodeShard(shard, 3, classes);
    const damage = fc.oneof(
      fc
        .array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
        .map((changes) => {
          const altered = new Uint8Array(bytes);
          for (const [at, value] of changes) altered[at] = value;
          return altered;
        }),
      fc.nat(bytes.length).map((length) => bytes.slice(0, length)),
      fc.uint8Array({ maxLength: 200 }),
    );
    fc.assert(
      fc.property(damage, (altered) => {
        try {
          const decoded = decodeShard(altered, manifestOf(altered), 0);
          expect([decoded.features.length, decoded.labels.length, decoded.sourceRows.length]).toEqual([
            6, 2, 2,
          ]);
        } catch (error) {
          if (!(error instanceof IhvpError)) throw error;
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('encodeShard: the file is one record batch, as other Arrow programs read it', () => {
    const reader = RecordBatchReader.from(encodeShard(shard, 3, classes)).open();
    expect(reader.schema.fields.map((field) => `${field.name} ${field.nullable}`)).toEqual([
      'features false',
      'label false',
      'row false',
    ]);
  });
});
