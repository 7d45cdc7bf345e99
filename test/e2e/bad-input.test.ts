import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { fromMemory } from '../../datasets/synthetic.js';
import type { Manifest } from '../../protocol/dataset.js';
import { encodeVectors } from '../../protocol/vectors.js';
import { alterShard, forgeShard, readShard, replaceFloat } from '../support/altered-shards.js';
import { command } from '../support/command.js';
import { TestFarm } from '../support/farm.js';

/** Three features and two classes; feature c of row r is r + c/10 + offset, so that every value is there once. */
const rows = 60;
const marked = 37;
const source = ({ offset = 0, label = (row: number) => row % 2, classes = 2 } = {}) =>
  fromMemory(
    Float32Array.from({ length: rows * 3 }, (_, i) => Math.floor(i / 3) + (i % 3) / 10 + offset),
    Int32Array.from({ length: rows }, (_, row) => label(row)),
    { kind: 'class', classes },
  );
const network = {
  input: { shape: [3] },
  layers: [{ type: 'dense', units: 1, useBias: true, activation: 'linear' } as const],
  loss: 'sigmoidCrossEntropy' as const,
  l2: 1,
};

let farm: TestFarm;
let folder: string;
let died = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ihvp-test-'));
  farm = await TestFarm.start({ workers: 2, files: [join(folder, 'allowed')] });
  for (const { exited } of farm.processes) void exited.then(() => died++);
  await farm.importRows('good', source(), 20);
  await farm.putModel('good', network, [0.01, 0.02, 0.03, 0.1]);
  await expectHealthy();
});
afterAll(async () => {
  await farm?.stop();
  await rm(folder, { recursive: true, force: true });
});

let healthy: Float64Array | undefined;
/** After bad input the farm solves as it did at first, to the bit, with the processes that it began with. */
async function expectHealthy() {
  const method = { name: 'cg' } as const;
  const request = { type: 'solve', model: 'good', dataset: 'good', rhs: { kind: 'ones' }, method } as const;
  const { values } = await farm.ask(request);
  healthy ??= values;
  expect(values).toEqual(healthy);
  expect(died).toBe(0);
}

interface Shown {
  code: string;
  message: string;
  hint?: string;
  details?: Record<string, unknown>;
}

/** Runs a command that must fail the way a user can read: a code, a message, a next step, and no stack trace. */
async function failure(...words: string[]): Promise<Shown> {
  const options = { url: farm.url, folder };
  const { code, stdout, stderr } = await command([...words, '--prefix', farm.prefix, '--json'], options);
  const { error } = JSON.parse(stdout) as { error: Shown };
  expect(code).toBe(error.code === 'bad-request' ? 2 : 1);
  expect(error.code).not.toBe('internal');
  expect(stdout + stderr).not.toMatch(/\n\s+at /);
  return error;
}

const solve = ['solve', '--model', 'good', '--dataset', 'good'];
const ones = [...solve, '--rhs', 'ones'];
const lissa = [...ones, '--method', 'lissa'];

describe('names and options', () => {
  afterAll(expectHealthy);

  it.each([
    ['unknown-dataset', /no dataset "nope"/, 'solve --model good --dataset nope --rhs ones'],
    ['unknown-dataset', /no dataset "nope"/, 'solve --model good --dataset good --rhs grad:nope:0'],
    ['unknown-model', /no model "nope"/, 'gradient --model nope --dataset good'],
    ['unknown-job', /no job "nope"/, 'watch nope'],
    ['unknown-job', /no job "nope"/, 'cancel nope'],
    ['bad-request', /no row 60/, 'solve --model good --dataset good --rhs grad:good:58-60'],
    ['bad-request', /"x" is neither a row/, 'solve --model good --dataset good --rhs grad:good:x'],
    ['bad-request', /unknown option '--frobnicate'/, 'jobs --frobnicate'],
    ['bad-request', /unknown command 'frobnicate'/, 'frobnicate'],
    ['bad-request', /--model/, 'solve --dataset good --rhs ones'],
    ['already-exists', /model "good"/, 'model create good --layers 3-1 --loss squaredError'],
  ])('%s %s', async (code, message, words) => {
    const error = await failure(...words.split(' '));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.hint).toBeTruthy();
  });

  it.each([
    [[...ones, '--tolerance', '0'], '--tolerance'],
    [[...ones, '--tolerance', '-1e-3'], '--tolerance'],
    [[...ones, '--damping', '-1'], '--damping'],
    [[...ones, '--max-iterations', '0'], '--max-iterations'],
    [[...ones, '--leaf-rows', '0'], '--leaf-rows'],
    [[...lissa, '--scale', '0'], '--scale'],
    [[...lissa, '--scale', '-5'], '--scale'],
    [[...lissa, '--scale', 'NaN'], '--scale'],
    [[...lissa, '--scale', '5', '--batch-size', '0'], '--batch-size'],
    [[...lissa, '--scale', '5', '--batch-size', '-3'], '--batch-size'],
    [[...ones, '--scale', '5'], '--scale'],
    [[...ones, '--step', '1e-3'], '--step'],
  ])('%j is refused', async (words, option) => {
    const error = await failure(...words);
    expect(error.code).toBe('bad-request');
    expect(`${error.message} ${error.hint}`).toContain(option);
  });

  it('for people: the code, the message and a next step on standard error, nothing on standard output', async () => {
    const words = ['solve', '--model', 'nope', '--dataset', 'good', '--rhs', 'ones', '--prefix', farm.prefix];
    const { code, stdout, stderr } = await command(words, { url: farm.url });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe('error [unknown-model]: there is no model "nope"\n→ the models are: good\n');
  });
});

describe('files', () => {
  afterAll(expectHealthy);

  const csv = async (name: string, ...lines: string[]) => {
    await writeFile(join(folder, name), ['a,b,y', '1,2,0', ...lines, '3,4,1'].join('\n'));
    return failure('dataset', 'import', name, '--label', 'y');
  };

  it.each([
    ['ragged.csv', '1,2', 'bad-file', /ragged\.csv, line 3: 2 cells/],
    ['words.csv', '1,two,0', 'bad-file', /"two" in words\.csv, line 3, column "b"/],
    ['empty.csv', '1,,0', 'bad-file', /empty cell in empty\.csv, line 3, column "b"/],
    ['nan.csv', '1,nan,0', 'not-finite', /nan\.csv, line 3, column "b" \(source row 1\)/],
    ['inf.csv', '-inf,2,0', 'not-finite', /inf\.csv, line 3, column "a" \(source row 1\)/],
    ['large.csv', '1,1e39,0', 'not-finite', /large\.csv, line 3, column "b" \(source row 1\)/],
    ['label.csv', '1,2,', 'bad-file', /label\.csv, line 3, column "y"/],
  ])('import of %s with the line %j', async (name, line, code, message) => {
    const error = await csv(name, line);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.hint).toBeTruthy();
  });

  it('import of a file that is not there, of no known kind, or that is not what its name says', async () => {
    expect(await failure('dataset', 'import', 'absent.csv', '--label', 'y')).toMatchObject({
      code: 'bad-file',
    });
    expect(await failure('dataset', 'import', 'data.xls', '--label', 'y')).toMatchObject({
      code: 'bad-request',
    });
    await writeFile(join(folder, 'no.arrow'), 'a,b\n1,2\n');
    expect(await failure('dataset', 'import', 'no.arrow', '--label', 'y')).toMatchObject({
      code: 'bad-file',
    });
  });

  it('a description with an unknown field or layer names it', async () => {
    const describe = async (description: object) => {
      await writeFile(join(folder, 'model.json'), JSON.stringify(description));
      return failure('model', 'create', 'described', '--description', 'model.json');
    };
    const { layers: _, ...rest } = network;
    expect((await describe({ ...network, lambda: 1 })).message).toContain('lambda');
    expect((await describe({ ...rest, layers: [{ type: 'attention' }] })).message).toContain('layers.0.type');
  });

  it('vectors of the wrong length, with an infinity, or cut short', async () => {
    const write = (name: string, bytes: Uint8Array) => writeFile(join(folder, name), bytes);
    await write('five.arrow', encodeVectors(new Float64Array(5), 1, 5));
    const wrong = await failure(...solve, '--rhs', 'five.arrow');
    expect(wrong).toMatchObject({ code: 'shape-mismatch' });
    expect(wrong.message).toMatch(/5 values.*4 parameters/);

    await write('infinite.arrow', encodeVectors(Float64Array.of(1, 2, Infinity, 4), 1, 4));
    const infinite = await failure(...solve, '--rhs', 'infinite.arrow');
    expect(infinite).toMatchObject({ code: 'not-finite', details: { row: 0, column: 2 } });

    await write('short.arrow', encodeVectors(new Float64Array(4), 1, 4).subarray(0, 100));
    expect(await failure(...solve, '--rhs', 'short.arrow')).toMatchObject({ code: 'bad-file' });
    expect(await failure(...solve, '--rhs', 'absent.npy')).toMatchObject({ code: 'bad-file' });
  });

  it('a model and a dataset that do not fit each other say how', async () => {
    await farm.putModel('wide', { ...network, input: { shape: [4] } }, new Float32Array(5));
    const wide = await failure('gradient', '--model', 'wide', '--dataset', 'good');
    expect(wide.code).toBe('shape-mismatch');
    expect(wide.message).toMatch(/4 features.*has 3/);
    await farm.importRows('three-classes', source({ label: (row) => row % 3, classes: 3 }));
    const fewer = await failure('gradient', '--model', 'good', '--dataset', 'three-classes');
    expect(fewer).toMatchObject({ code: 'shape-mismatch' });
    expect(fewer.message).toMatch(/3 classes/);
  });
});

describe('shards', () => {
  afterEach(expectHealthy);

  const fail = (name: string) => failure('gradient', '--model', 'good', '--dataset', name);

  // Each with rows of its own: workers keep shards by their contents.
  it.each<[string, number, (bytes: Uint8Array) => Uint8Array | undefined, RegExp]>([
    ['truncated', 0.25, (bytes) => bytes.subarray(0, bytes.length - 100), /bytes, the manifest says/],
    ['altered', 0.5, (bytes) => replaceFloat(bytes, marked + 0.5, 0), /SHA-256/],
    ['removed', 0.75, () => undefined, /missing/],
  ])('a shard that was %s', async (name, offset, change, message) => {
    const manifest = await farm.importRows(name, source({ offset }), 20);
    const index = await shardOf(manifest, marked + offset);
    await alterShard(farm.client, manifest, index, change(await readShard(farm.client, manifest, index)));
    const error = await fail(name);
    expect(error.code).toBe('corrupt-shard');
    expect(error.message).toContain(`${name}/${manifest.shards[index]!.name}`);
    expect(error.message).toMatch(message);
    expect(error.hint).toBeTruthy();
  });

  it.each([NaN, Infinity, -Infinity])('%d in a shard that its manifest vouches for', async (value) => {
    const name = `forged${String(value).replace('-', 'minus')}`;
    const manifest = await farm.importRows(name, source(), 20);
    const index = await shardOf(manifest, marked);
    const bytes = await readShard(farm.client, manifest, index);
    await forgeShard(farm.client, manifest, index, replaceFloat(bytes, marked, value));
    const error = await fail(name);
    expect(error.code).toBe('not-finite');
    expect(error.details).toMatchObject({
      dataset: name,
      shard: manifest.shards[index]!.name,
      sourceRow: marked,
    });
    expect(error.message).toContain(`${value} in row`);
  });

  it('a label that is no class of the dataset', async () => {
    await farm.importRows('labels', source({ label: (row) => (row === marked ? 7 : row % 2) }));
    const error = await fail('labels');
    expect(error).toMatchObject({ code: 'label-out-of-range', details: { sourceRow: marked, label: 7 } });
    expect(error.message).toMatch(/class 7 .*classes 0 to 1/);
  });

  it('a folder that the workers were not told of is forbidden, one that they were is read', async () => {
    const lines = Array.from({ length: 40 }, (_, i) => `${i},${i % 7},${i % 5},${i % 2}`);
    await writeFile(join(folder, 'folder.csv'), ['a,b,c,y', ...lines].join('\n'));
    const put = (name: string, store: string) =>
      command(
        [
          ...['dataset', 'import', 'folder.csv', '--label', 'y', '--name', name],
          '--store',
          store,
          '--prefix',
          farm.prefix,
        ],
        { url: farm.url, folder },
      );
    expect((await put('outside', 'elsewhere')).code).toBe(0);
    expect((await put('inside', 'allowed')).code).toBe(0);
    const error = await fail('outside');
    expect(error.code).toBe('forbidden');
    expect(error.hint).toContain('--files');
    const { report } = await farm.ask({ type: 'gradient', model: 'good', dataset: 'inside' });
    expect(report.dataset.rows).toBe(40);
  });

  /** The shard that holds this value. */
  async function shardOf(manifest: Manifest, value: number): Promise<number> {
    for (let index = 0; index < manifest.shards.length; index++) {
      const bytes = Buffer.from(await readShard(farm.client, manifest, index));
      if (bytes.includes(Buffer.from(Float32Array.of(value).buffer))) return index;
    }
    throw new Error(`no shard holds ${value}`);
  }
});
