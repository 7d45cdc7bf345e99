import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WorkerCalls } from '../../coordinator/worker-calls.js';
import { importDataset } from '../../datasets/import.js';
import { DatasetRegistry, manifestDigest } from '../../datasets/registry.js';
import { openStore } from '../../datasets/stores/open-store.js';
import { linearRegression } from '../../datasets/synthetic.js';
import { BlockInbox } from '../../protocol/block-inbox.js';
import { BlockOutbox } from '../../protocol/block-outbox.js';
import { IhvpError, UnsupportedError } from '../../protocol/errors.js';
import { cutLeaves } from '../../protocol/leaves.js';
import { drawMinibatch } from '../../protocol/minibatch.js';
import { networkSchema } from '../../protocol/model.js';
import { Objects } from '../../protocol/objects.js';
import type { BlockRef, OperatorSpec, Task } from '../../protocol/tasks.js';
import { startWorker, type RunningWorker } from '../../worker/start.js';
import { type TestBroker, startTestBroker } from '../support/broker.js';
import { rejection } from '../support/datasets.js';

let broker: TestBroker;
let worker: RunningWorker;
let calls: WorkerCalls;
let spec: OperatorSpec;
let outbox: BlockOutbox;
let inbox: BlockInbox;
/** θ and two vectors, as blocks of the operator. */
let parameters: BlockRef;
let vectors: BlockRef;
const source = linearRegression({ rows: 40, width: 3, seed: 1 });
const v = Float32Array.of(1, 0, 0, 0, 1, -1);
const never = new AbortController().signal;

beforeAll(async () => {
  broker = await startTestBroker();
  const { connection: nc, names, url, prefix } = broker;
  const manifest = await importDataset({
    source,
    name: 'd',
    store: openStore('nats:', 'd', await Objects.open(nc, names.stores.shards)),
    registry: await DatasetRegistry.open(nc, names),
    shuffleSeed: 0,
    shardRows: 20,
  });
  worker = await startWorker({ url, prefix, engine: 'cpu', threads: 2 });
  calls = new WorkerCalls(nc, names, 'c');
  spec = {
    operator: 'op',
    network: networkSchema.parse({
      input: { shape: [3] },
      layers: [{ type: 'dense', units: 1, useBias: false }],
      loss: 'squaredError',
    }),
    dataset: { name: 'd', sha256: manifestDigest(manifest) },
    leafRows: 7,
    hvp: { mode: 'exact' },
    curvature: 'hessian',
  };
  await calls.call(worker.id, { task: 'open', ...spec }, never);
  outbox = new BlockOutbox(nc, names, 'op');
  inbox = new BlockInbox(nc, names, `${worker.id}-op`, 'op');
  parameters = await outbox.send(new Float32Array(3), 1);
  vectors = await outbox.send(v, 1);
}, 60_000);
afterAll(async () => {
  calls.close();
  outbox.close();
  inbox.close();
  await worker.stop();
  await broker.stop();
});

const call = (task: object) => calls.call(worker.id, task as Task, never);
const codeOf = async (task: object) => {
  const error = await rejection(call(task));
  return error instanceof IhvpError ? error.code : error;
};
const point = () => ({ id: 0, parameters });
const linearize = (leaves: object) => ({ task: 'linearize', operator: 'op', point: point(), leaves });
const multiply = (fields: object = {}) => ({
  task: 'multiply',
  operator: 'op',
  point: point(),
  leaves: [{ start: 0, end: 6 }],
  vectors,
  count: 2,
  ...fields,
});
const multiplyRows = (fields: object = {}) => ({
  ...multiply(),
  ...{ task: 'multiply-rows', rows: 40, seeds: [0], touched: 6 },
  ...fields,
});
let chains = 0;
const chain = (fields: object = {}) => ({
  task: 'chain',
  operator: 'op',
  id: chains++,
  point: point(),
  shard: 0,
  state: vectors,
  rhs: vectors,
  count: 2,
  batchSize: 5,
  sampling: 'epoch',
  first: 0,
  end: 4,
  shrink: 1,
  scale: 10,
  seeds: [0, 1],
  ...fields,
});

describe('a worker', () => {
  it('multiplies: Σ 2·x·xᵀ·v over all rows, in one node, from two threads', async () => {
    const { nodes, block } = await call(multiply());
    expect(nodes).toEqual([{ level: 3, index: 0 }]);
    const values = await inbox.get(block!);
    const expected = new Float64Array(6);
    for (let row = 0; row < 40; row++)
      for (let k = 0; k < 2; k++) {
        const x = source.features.subarray(3 * row, 3 * row + 3);
        const xv = x.reduce((sum, value, i) => sum + value * v[3 * k + i]!, 0);
        x.forEach((value, i) => (expected[3 * k + i]! += 2 * value * xv));
      }
    // float32 products of 40 rows: a few units in the seventh digit of the largest.
    for (const [i, value] of expected.entries()) expect(Math.abs(values[i]! - value)).toBeLessThan(1e-4);
  });

  it('multiplies by the rows of a minibatch: all of them, or a single one', async () => {
    const { block } = await call(multiply());
    const { nodes, block: same } = await call(multiplyRows());
    expect(nodes).toEqual([{ level: 3, index: 0 }]);
    const [all, every] = [await inbox.get(block!), await inbox.get(same!)];
    // Another order of float32 sums over a leaf's rows.
    for (const [i, value] of every.entries()) expect(Math.abs(all[i]! - value)).toBeLessThan(1e-4);

    const leaves = cutLeaves([{ rows: 20 }, { rows: 20 }], 7);
    const seen = new Set<number>();
    for (let seed = 0; seed < 5; seed++) {
      const [leaf] = [...drawMinibatch(leaves, 1, [seed]).keys()];
      const of = { leaves: [{ start: leaf!, end: leaf! + 1 }], rows: 1, seeds: [seed], touched: 1 };
      const { block: one } = await call(multiplyRows(of));
      const values = await inbox.get(one!);
      const row = Array.from({ length: 40 }, (_, candidate) => candidate).find((candidate) => {
        const x = source.features.subarray(3 * candidate, 3 * candidate + 3);
        return [0, 1].every((k) => {
          const xv = x.reduce((sum, value, i) => sum + value * v[3 * k + i]!, 0);
          return x.every((value, i) => Math.abs(values[3 * k + i]! - 2 * value * xv) < 1e-5);
        });
      });
      expect(row).toBeDefined();
      seen.add(row!);
    }
    expect(seen.size).toBeGreaterThan(2);
  });

  it('open: twice is once; another operator of the same name is refused', async () => {
    expect(await call({ task: 'open', ...spec })).toMatchObject({ ok: true });
    expect(await codeOf({ task: 'open', ...spec, leafRows: 8 })).toBe('forbidden');
  });

  it('open: an unknown dataset, or one that was replaced, is an error, and the next opening begins anew', async () => {
    const other = { ...spec, task: 'open', operator: 'other' };
    expect(await codeOf({ ...other, dataset: { name: 'nowhere', sha256: '1'.repeat(64) } })).toBe(
      'unknown-dataset',
    );
    expect(await codeOf({ ...other, dataset: { name: 'd', sha256: '0'.repeat(64) } })).toBe('corrupt-shard');
    expect(await call(other)).toMatchObject({ ok: true });
  });

  it('a task of an operator that it does not hold is unknown-operator', async () => {
    expect(await codeOf({ ...multiply(), operator: 'nobody' })).toBe('unknown-operator');
  });

  it.each([
    ['past the last', [{ start: 5, end: 7 }]],
    ['without end', [{ start: 0, end: 2 ** 50 }]],
    [
      'in all more than there are',
      [
        { start: 0, end: 6 },
        { start: 0, end: 4e9 },
      ],
    ],
    [
      'out of order',
      [
        { start: 3, end: 4 },
        { start: 0, end: 1 },
      ],
    ],
  ])('leaves %s are refused before they are listed', async (_, leaves) => {
    expect(await codeOf(linearize(leaves))).toBe('shape-mismatch');
  });

  it.each<[string, () => object, string]>([
    ['no task', () => ({ task: 'dance' }), 'bad-request'],
    ['an empty range', () => linearize([{ start: 1, end: 1 }]), 'bad-request'],
    ['a negative leaf', () => linearize([{ start: -1, end: 1 }]), 'bad-request'],
    ['no leaves', () => linearize([]), 'bad-request'],
    ['vectors of another length', () => multiply({ count: 1 }), 'shape-mismatch'],
    [
      'vectors that are float64',
      () => multiply({ vectors: { ...vectors, dtype: 'float64' } }),
      'shape-mismatch',
    ],
    [
      'vectors of an unknown owner',
      () => multiply({ vectors: { ...vectors, owner: 'x' } }),
      'shape-mismatch',
    ],
    ['a count beyond all limits', () => multiply({ count: 1e6 }), 'bad-request'],
    [
      'a block beyond all limits',
      () => multiply({ vectors: { ...vectors, values: 2 ** 31 } }),
      'bad-request',
    ],
    [
      'vectors in frames that their size does not make',
      () => multiply({ vectors: { ...vectors, id: 1, frames: 2 } }),
      'timeout',
    ],
    ['no such shard', () => chain({ shard: 2 }), 'shape-mismatch'],
    ['no such minibatch', () => chain({ first: 3, end: 5 }), 'shape-mismatch'],
    ['leaves without rows of the minibatch', () => multiplyRows({ rows: 1, touched: 1 }), 'shape-mismatch'],
    ['another number of leaves than the minibatch has', () => multiplyRows({ touched: 5 }), 'shape-mismatch'],
    ['a scale of zero', () => chain({ scale: 0 }), 'bad-request'],
    ['the end of a chain task that never was', () => chain({ state: { after: 1e6 } }), 'timeout'],
    ['the end of itself', () => chain({ id: 2e6, state: { after: 2e6 } }), 'timeout'],
    [
      'a state of another length, at a point that nobody sends',
      () => chain({ state: parameters, point: { id: 1, parameters: { ...parameters, id: 7 } } }),
      'shape-mismatch',
    ],
    [
      'no such source row',
      () => ({ task: 'row-gradients', operator: 'op', point: point(), dataset: spec.dataset, rows: [0, 40] }),
      'bad-request',
    ],
  ])('%s is an error of its own', async (_, task, code) => {
    expect(await codeOf(task())).toBe(code);
  });

  it('answers still, after all that, and so does a chain', async () => {
    const { nodes } = await call(linearize([{ start: 1, end: 3 }]));
    expect(nodes).toEqual([
      { level: 0, index: 1 },
      { level: 0, index: 2 },
    ]);
    const { block } = await call(chain());
    expect((await inbox.get(block!)).length).toBe(6);
  });

  it('goes on from what a chain task ends with that is still under way, to the same bits', async () => {
    const first = chain();
    const then = { shard: 1, seeds: [0, 2] };
    const [one, other] = await Promise.all([
      call(first),
      call(chain({ ...then, state: { after: first.id } })),
    ]);
    const [between, end] = [await inbox.get(one.block!), await inbox.get(other.block!)];
    expect(between).not.toEqual(v);
    const state = await outbox.send(between, 1);
    const { block } = await call(chain({ ...then, state }));
    expect(end).toEqual(await inbox.get(block!));
  });

  it('a chain task fails with the one that it goes on from, and one of another size for itself', async () => {
    const first = chain({ shard: 2 });
    const codes = await Promise.all([codeOf(first), codeOf(chain({ state: { after: first.id } }))]);
    expect(codes).toEqual(['shape-mismatch', 'shape-mismatch']);
    const whole = chain();
    const [done, code] = await Promise.all([
      call(whole),
      codeOf(chain({ state: { after: whole.id }, count: 1, rhs: parameters })),
    ]);
    expect((await inbox.get(done.block!)).length).toBe(6);
    expect(code).toBe('shape-mismatch');
  });

  it('startWorker: as many threads as there are cores at most, with a word', async () => {
    const { url, prefix } = broker;
    const said: string[] = [];
    const say = (line: string) => said.push(line);
    const other = await startWorker({ url, prefix, engine: 'cpu', threads: 999, say });
    await other.stop();
    expect(other.threads).toBe(availableParallelism());
    expect(said).toEqual([
      expect.stringMatching(/^999 threads were asked for: there are \d+ cores, so \d+ threads$/),
      expect.stringMatching(/^engine cpu \(cpu: asked for/),
    ]);
  });

  it('startWorker: throws UnsupportedError for an unknown engine', async () => {
    const { url, prefix } = broker;
    const starting = startWorker({ url, prefix, engine: 'abacus', threads: 1 });
    expect(await rejection(starting)).toBeInstanceOf(UnsupportedError);
  });

  it('startWorker: throws UnsupportedError where graphs are wanted of an engine that has none', async () => {
    const { url, prefix } = broker;
    const starting = startWorker({ url, prefix, engine: 'cpu', threads: 1, dumpGraphs: 'graphs' });
    expect(await rejection(starting)).toBeInstanceOf(UnsupportedError);
  });
});
