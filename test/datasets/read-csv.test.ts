import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BadFileError, NotFiniteError } from '../../protocol/errors.js';
import { type CsvOptions, readCsv } from '../../datasets/read-csv.js';
import { allRows, rejection, withFolder } from '../support/datasets.js';

function read(text: string, options: CsvOptions) {
  return withFolder(async (folder) => {
    const path = join(folder, 'data.csv');
    await writeFile(path, text);
    const source = await readCsv(path, options);
    return { ...source, all: await allRows(source) };
  });
}

function failure(text: string, options: CsvOptions = { label: 'y' }) {
  return rejection(read(text, options));
}

describe('readCsv', () => {
  it('readCsv: features, label by name and source rows', async () => {
    const source = await read('a,y,b\n1,0.5,2\n-3,1e2,4.25\n', { label: 'y' });
    expect(source).toMatchObject({ rows: 2, width: 2, labels: { kind: 'real', width: 1 } });
    expect(source.all).toEqual([
      { features: [1, 2], labels: [0.5], row: 0 },
      { features: [-3, 4.25], labels: [100], row: 1 },
    ]);
    expect(source.description).toMatch(/label column "y" \(real\)$/);
  });

  it('readCsv: finds out whether the first line is a header', async () => {
    expect((await read('1,2,0\n3,4,1\n', { label: '2' })).all).toHaveLength(2);
    expect((await read('1,2,cat\n3,4,dog\n', { label: '2' })).all).toHaveLength(2);
    expect((await read('a,b,c\n3,4,1\n5,6,0\n', { label: '2' })).all).toHaveLength(2);
    expect((await read('y,0,1\n1,4,1\n0,6,0\n', { label: 'y' })).width).toBe(2);
    expect((await read('1,2,0\n3,4,1\n5,6,0\n', { label: '2', header: true })).all).toHaveLength(2);
  });

  it('readCsv: quotes, blank lines, a byte order mark, CRLF, another delimiter', async () => {
    const source = await read('\ufeff"a";y\r\n"1";"one; two"\r\n\r\n2;three\r\n', {
      label: 'y',
      delimiter: ';',
    });
    expect(source.labels).toEqual({ kind: 'class', classes: 2, names: ['one; two', 'three'] });
    expect(source.all.map(({ features }) => features)).toEqual([[1], [2]]);
  });

  it('readCsv: integers 0…C−1 and words are classes, other numbers are real, and --label-kind decides otherwise', async () => {
    const labelsOf = async (values: (number | string)[], labelKind: CsvOptions['labelKind'] = 'auto') => {
      const source = await read(['x,y', ...values.map((value) => `1,${value}`)].join('\n'), {
        label: 'y',
        labelKind,
      });
      return [source.labels, source.all.map(({ labels }) => labels[0])];
    };
    expect(await labelsOf([2, 0, 1, 1])).toEqual([{ kind: 'class', classes: 3 }, [2, 0, 1, 1]]);
    expect(await labelsOf([0, 2])).toEqual([{ kind: 'real', width: 1 }, [0, 2]]);
    expect(await labelsOf([0, 2], 'class')).toEqual([{ kind: 'class', classes: 3 }, [0, 2]]);
    expect(await labelsOf([0, 1], 'real')).toEqual([{ kind: 'real', width: 1 }, [0, 1]]);
    expect(await labelsOf(['b', 'a', 'b'])).toEqual([
      { kind: 'class', classes: 2, names: ['a', 'b'] },
      [1, 0, 1],
    ]);
    expect(await labelsOf([1, -1, 10], 'class')).toEqual([
      { kind: 'class', classes: 3, names: ['-1', '1', '10'] },
      [1, 0, 2],
    ]);
  });

  it('readCsv: any table of float32 numbers comes back as it was written', async () => {
    const finite = fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
    const table = fc.integer({ min: 1, max: 5 }).chain((width) =>
      fc.array(fc.array(finite, { minLength: width + 1, maxLength: width + 1 }), {
        minLength: 1,
        maxLength: 20,
      }),
    );
    await fc.assert(
      fc.asyncProperty(table, async (rows) => {
        const text = rows.map((row) => row.join()).join('\n');
        const { all } = await read(text, { label: '0', labelKind: 'real', header: false });
        expect(all.map(({ features, labels }) => [...labels, ...features].map((value) => value + 0))).toEqual(
          rows,
        );
      }),
      { numRuns: 50 },
    );
  });

  it('readCsv: a ragged line is named', async () => {
    const error = await failure('a,y\n1,2\n1,2,3\n');
    expect(error).toBeInstanceOf(BadFileError);
    expect(error).toMatchObject({ message: expect.stringMatching(/line 3: 3 cells/), details: { line: 3 } });
  });

  it.each([
    ['1,\n', 'empty cell in %, line 3, column "y" \\(source row 1\\)'],
    [',1\n', 'empty cell in %, line 3, column "a" \\(source row 1\\)'],
    [' ,1\n', 'empty cell in %, line 3, column "a"'],
    ['x,1\n', '"x" in %, line 3, column "a" \\(source row 1\\) is no number'],
    ['1;5,1\n', '"1;5" in %, line 3'],
    ['1,zwei\n', 'column "y" has numbers and words, such as "zwei"'],
    ['"1,1\n', 'line'],
  ])('readCsv: the bad line %j is named', async (line, message) => {
    const error = await failure(`a,y\n1,2\n${line}`);
    expect(error).toBeInstanceOf(BadFileError);
    expect((error as Error).message).toMatch(new RegExp(message.replace('%', '.*data.csv')));
  });

  it.each(['NaN,1', 'inf,1', '-Infinity,1', '1e39,1', '1,nan', '1,Infinity', '1,-1e300'])(
    'readCsv: %j is not finite, and named',
    async (line) => {
      const error = await failure(`a,y\n1,0.5\n${line}\n`);
      expect(error).toBeInstanceOf(NotFiniteError);
      expect(error).toMatchObject({
        details: { line: 3, sourceRow: 1, column: line.startsWith('1,') ? 'y' : 'a' },
      });
    },
  );

  it('readCsv: no such column, no rows, no features, no file', async () => {
    expect(await failure('a,b\n1,2\n')).toMatchObject({
      code: 'bad-file',
      hint: expect.stringContaining('a, b'),
    });
    expect(await failure('a,y\n')).toBeInstanceOf(BadFileError);
    expect(await failure('')).toBeInstanceOf(BadFileError);
    expect(await failure('y\n1\n')).toMatchObject({ hint: expect.stringContaining('--delimiter') });
    expect(await failure('a,y\n1,same\n2,same\n')).toBeInstanceOf(BadFileError);
    expect(await rejection(readCsv('/nowhere/x.csv', { label: 'y' }))).toMatchObject({ code: 'bad-file' });
  });
});
