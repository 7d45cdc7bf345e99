import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import {
  Field,
  FixedSizeList,
  Float16,
  Float32,
  Float64,
  Int32,
  Int64,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  tableToIPC,
  Utf8,
  vectorFromArray,
} from 'apache-arrow';
import { BadFileError, NotFiniteError } from '../../protocol/errors.js';
import { type ArrowOptions, readArrow } from '../../datasets/read-arrow.js';
import { allRows, rejection, withFolder } from '../support/datasets.js';

function read(bytes: Uint8Array, options: ArrowOptions = { label: 'y' }) {
  return withFolder(async (folder) => {
    const path = join(folder, 'data.arrow');
    await writeFile(path, bytes);
    const source = await readArrow(path, options);
    return { ...source, all: await allRows(source) };
  });
}

const scalars = () =>
  new Table({
    a: vectorFromArray([1.5, 2, 3], new Float16()),
    b: vectorFromArray([4n, -5n, 6n], new Int64()),
    y: vectorFromArray([0, 1, 2], new Int32()),
  });

/** A table of one FixedSizeList<float32> column `features` and the label column given. */
function listTable(values: Float32Array, width: number, label: Float32Array, labelWidth: number): Table {
  const list = (array: Float32Array, size: number) =>
    makeData({
      type: new FixedSizeList(size, new Field('item', new Float32(), false)),
      length: array.length / size,
      child: makeData({ type: new Float32(), data: array }),
    });
  const columns = [list(values, width), list(label, labelWidth)];
  const schema = new Schema([new Field('features', columns[0]!.type), new Field('y', columns[1]!.type)]);
  return new Table([
    new RecordBatch(schema, makeData({ type: new Struct(schema.fields), children: columns })),
  ]);
}

describe('readArrow', () => {
  it.each(['file' as const, 'stream' as const])(
    'readArrow: columns of numbers in a %s of several batches',
    async (kind) => {
      const source = await read(tableToIPC(scalars().concat(scalars()), kind));
      expect(source).toMatchObject({ rows: 6, width: 2, labels: { kind: 'class', classes: 3 } });
      expect(source.all.slice(2, 5)).toEqual([
        { features: [3, 6], labels: [2], row: 2 },
        { features: [1.5, 4], labels: [0], row: 3 },
        { features: [2, -5], labels: [1], row: 4 },
      ]);
    },
  );

  it('readArrow: lists of features and of labels', async () => {
    const table = listTable(Float32Array.of(1, 2, 3, 4, 5, 6), 3, Float32Array.of(7, 8, 9, 10), 2);
    const source = await read(tableToIPC(table, 'file'));
    expect(source).toMatchObject({ rows: 2, width: 3, labels: { kind: 'real', width: 2 } });
    expect(source.all).toEqual([
      { features: [1, 2, 3], labels: [7, 8], row: 0 },
      { features: [4, 5, 6], labels: [9, 10], row: 1 },
    ]);
  });

  it('readArrow: words as labels, plain and dictionary-encoded', async () => {
    for (const words of [vectorFromArray(['b', 'a', 'b'], new Utf8()), vectorFromArray(['b', 'a', 'b'])]) {
      const table = new Table({ x: vectorFromArray([1, 2, 3], new Float64()), y: words });
      const source = await read(tableToIPC(table, 'file'));
      expect(source.labels).toEqual({ kind: 'class', classes: 2, names: ['a', 'b'] });
      expect(source.all.map(({ labels }) => labels[0])).toEqual([1, 0, 1]);
    }
  });

  it('readArrow: a null, a NaN and a number too large are named', async () => {
    const table = (x: (number | null)[], y: (number | null)[]) =>
      tableToIPC(
        new Table({ x: vectorFromArray(x, new Float64()), y: vectorFromArray(y, new Float64()) }).concat(
          new Table({ x: vectorFromArray(x, new Float64()), y: vectorFromArray(y, new Float64()) }).slice(
            0,
            0,
          ),
        ),
      );
    expect(await rejection(read(table([1, null], [0, 1])))).toMatchObject({
      code: BadFileError.code,
      message: expect.stringMatching(/^null in column "x" of .*, source row 1$/),
    });
    expect(await rejection(read(table([1, 2], [0, null])))).toMatchObject({
      message: expect.stringMatching(/^null in column "y" of .*, source row 1$/),
    });
    for (const [x, y] of [
      [
        [1, NaN],
        [0, 1],
      ],
      [
        [1, 1e39],
        [0, 1],
      ],
      [
        [1, 2],
        [0, Infinity],
      ],
      [
        [1, 2],
        [0.5, 1e39],
      ],
    ] as const)
      expect(await rejection(read(table([...x], [...y])))).toMatchObject({
        code: NotFiniteError.code,
        details: { sourceRow: 1 },
      });
  });

  it('readArrow: no such column, a column of words as feature, no rows', async () => {
    expect(await rejection(read(tableToIPC(scalars()), { label: 'z' }))).toMatchObject({
      code: BadFileError.code,
      hint: expect.stringContaining('a, b, y'),
    });
    const words = new Table({
      x: vectorFromArray(['u', 'v'], new Utf8()),
      y: vectorFromArray([0n, 1n], new Int64()),
    });
    expect(await rejection(read(tableToIPC(words)))).toMatchObject({
      code: BadFileError.code,
      message: expect.stringContaining('column "x"'),
    });
    expect(await rejection(read(tableToIPC(scalars().slice(0, 0))))).toBeInstanceOf(BadFileError);
  });

  it('readArrow: a truncated file and no Arrow file at all', async () => {
    const bytes = tableToIPC(scalars(), 'file');
    for (const length of [0, 5, 60, bytes.length - 1])
      expect(await rejection(read(bytes.subarray(0, length)))).toBeInstanceOf(BadFileError);
    expect(await rejection(read(new TextEncoder().encode('a,y\n1,2\n3,4\n')))).toBeInstanceOf(BadFileError);
  });
});
