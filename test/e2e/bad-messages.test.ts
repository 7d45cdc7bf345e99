import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { headers } from '@nats-io/nats-core';
import { logisticRegression } from '../../datasets/synthetic.js';
import { TooLargeError } from '../../protocol/errors.js';
import { BlockOutbox } from '../../protocol/block-outbox.js';
import { endpoints, type EndpointName } from '../../protocol/services.js';
import type { OperatorSpec } from '../../protocol/tasks.js';
import { rejection } from '../support/datasets.js';
import { TestFarm } from '../support/farm.js';

const rows = 500;
const source = logisticRegression({ rows, width: 3, seed: 1 });
const network = {
  input: { shape: [3] },
  layers: [{ type: 'dense', units: 1, useBias: true, activation: 'linear' } as const],
  loss: 'sigmoidCrossEntropy' as const,
  l2: 0.1,
};
const solve = { type: 'solve', model: 'good', dataset: 'good', rhs: { kind: 'ones' } } as const;
const cg = { ...solve, method: { name: 'cg' } } as const;
/** Long enough for bad messages to meet a job under way: 4 shards × 40 passes × 2 chains. */
const lissa = {
  ...solve,
  method: { name: 'lissa', scale: 5, batchSize: 50, depth: 40, samples: 2 },
} as const;

let farm: TestFarm;
let died = 0;
let healthy: { cg: Float64Array; lissa: Float64Array };

beforeAll(async () => {
  farm = await TestFarm.start({ workers: 2 });
  for (const { exited } of farm.processes) void exited.then(() => died++);
  await farm.importRows('good', source, 125);
  await farm.putModel('good', network, [0.1, 0.2, 0.3, 0]);
  healthy = { cg: (await farm.ask(cg)).values, lissa: (await farm.ask(lissa)).values };
});
afterAll(() => farm?.stop());

/** After bad messages the farm solves as it did before them, to the bit, with the processes that it began with. */
afterEach(async () => {
  expect((await farm.ask(cg)).values).toEqual(healthy.cg);
  expect(died).toBe(0);
});

const garbage: [string, string | Uint8Array][] = [
  ['nothing', ''],
  ['half a document', '{"id":'],
  ['bytes that are no text', Uint8Array.from({ length: 200 }, (_, i) => (i * 37) % 256)],
  ['null', 'null'],
  ['a list', '[1,2,3]'],
  ['a number', '1e999'],
  ['another document', '{"hello":"world"}'],
  ['wrong types', '{"id":{},"request":[],"task":7,"operators":"all","frames":[-1],"state":"ready"}'],
  ['deep nesting', '['.repeat(20_000)],
  // Last: for requests only.
  ['much of it', JSON.stringify({ id: 'x'.repeat(900_000) })],
];

describe('requests', () => {
  interface Reply {
    ok: boolean;
    error: { code: string; message: string };
  }
  const send = async (name: EndpointName, body: string | Uint8Array) => {
    const { nc, names } = farm.client;
    return (await nc.request(names.jobs[name], body, { timeout: 10_000 })).json<Reply>();
  };
  const refused = async (name: EndpointName, body: object) => {
    const reply = await send(name, JSON.stringify(body));
    expect(reply).toMatchObject({ ok: false, error: { code: 'bad-request' } });
    return reply.error.message;
  };

  it.each((Object.keys(endpoints) as EndpointName[]).filter((name) => name !== 'list'))(
    '%s answers garbage with bad-request',
    async (name) => {
      for (const [, body] of garbage) {
        const { ok, error } = await send(name, body);
        expect(ok).toBe(false);
        expect(error.code).toBe('bad-request');
        expect(error.message.length).toBeLessThan(500);
      }
    },
  );

  it('a field that is unknown, missing or of the wrong kind is named', async () => {
    expect(await refused('submit', { request: { ...cg, lambda: 1 } })).toContain('lambda');
    const method = { name: 'cg', momentum: 1 };
    expect(await refused('submit', { request: { ...cg, method } })).toContain('momentum');
    expect(await refused('submit', { request: { ...cg, type: 'invert' } })).toContain('type');
    expect(await refused('submit', { request: { ...cg, model: undefined } })).toContain('model');
    expect(await refused('submit', { request: { ...cg, model: '../secret' } })).toContain('model');
    expect(await refused('submit', { request: cg, id: 'a.b' })).toContain('id');
    expect(await refused('status', { id: '*' })).toContain('id');
    expect(await refused('list', { limit: 0 })).toContain('limit');
  });

  it.each([
    ['tolerance', { ...cg, method: { name: 'cg', tolerance: 0 } }],
    ['tolerance', { ...cg, method: { name: 'cg', tolerance: -1 } }],
    ['damping', { ...cg, damping: -1e-9 }],
    ['scale', { ...cg, method: { name: 'lissa', scale: 0 } }],
    ['scale', { ...cg, method: { name: 'lissa', scale: -1 } }],
    ['batchSize', { ...cg, method: { name: 'lissa', scale: 1, batchSize: 0 } }],
    ['leafRows', { ...cg, leafRows: 0 }],
    ['step', { ...cg, hvp: { mode: 'finite-difference', step: 0 } }],
    ['rows', { ...cg, rhs: { kind: 'gradient', dataset: 'good', rows: [-1] } }],
    ['rows', { ...cg, rhs: { kind: 'gradient', dataset: 'good', rows: Array(4097).fill(0) } }],
    ['rows', { ...cg, rhs: { kind: 'gradient', dataset: 'good', rows: Array(400_000).fill(0) } }],
  ])('%s out of bounds is named', async (field, request) => {
    expect(await refused('submit', { request })).toContain(field);
  });

  it('more right-hand sides than a request may have are too large', async () => {
    const name = await farm.client.uploadVectors(new Float32Array(4097 * 4).fill(1), 4097);
    const many = await rejection(farm.client.submit({ ...cg, rhs: { kind: 'vectors', name } }));
    expect(many).toBeInstanceOf(TooLargeError);
    // p = 300,001: 4096 gradients are 1.2e9 values, more than a block of vectors may have.
    const layers = [60_000, 1].map((units) => ({ ...network.layers[0]!, units }));
    await farm.putModel('large', { ...network, layers }, new Float32Array(300_001));
    const rhs = { kind: 'gradient', dataset: 'good', rows: Array<number>(4096).fill(0) } as const;
    const large = await rejection(farm.client.submit({ ...cg, model: 'large', rhs }));
    expect(large).toBeInstanceOf(TooLargeError);
    expect((large as TooLargeError).hint).toMatch(/at most 3579/);
    const direct = { ...cg, model: 'large', method: { name: 'direct' } } as const;
    expect(await rejection(farm.client.submit(direct))).toBeInstanceOf(TooLargeError);
  });

  it('a message that the server does not take leaves the connection as it was', async () => {
    const { nc, names } = farm.client;
    const size = nc.info!.max_payload + 1;
    await expect(nc.request(names.jobs.submit, new Uint8Array(size))).rejects.toThrow(/payload/i);
    expect(await farm.client.jobs(1)).toHaveLength(1);
  });
});

describe('subjects', () => {
  /** Every subject of the system, from its names: those of this farm's parts, and of parts that are not there. */
  async function subjects(): Promise<string[]> {
    const { client } = farm;
    const { names } = client;
    const workers = (await client.workers()).map(({ id }) => id);
    const job = (await client.jobs(1))[0]!;
    const coordinator = job.coordinator!;
    const { group: _, ...jobs } = names.jobs;
    return [
      ...Object.values(jobs),
      ...[job.id, 'nobody'].flatMap((id) => Object.values(names.job(id))),
      ...[coordinator, 'nobody'].flatMap((id) => {
        const { heartbeat, reply } = names.coordinator(id);
        return [heartbeat, reply, ...Array.from({ length: 20 }, (_, token) => `${reply}.${token}`)];
      }),
      ...[...workers, 'nobody'].flatMap((id) => [names.worker(id).heartbeat, names.worker(id).task]),
      ...['nobody', `${job.id}-1`, ...workers.map((id) => `${id}-${job.id}-1`)].flatMap((owner) =>
        Object.values(names.blocks(owner)),
      ),
      names.stores.queue.subject,
    ];
  }

  async function litter(all: Iterable<string>): Promise<void> {
    const { nc } = farm.client;
    for (const subject of all)
      for (const [, body] of garbage.slice(0, -1)) {
        nc.publish(subject, body);
        nc.publish(subject, body, { headers: frameLike() });
        await nc.flush();
      }
  }

  /** Headers of a vector frame, with nonsense in them. */
  function frameLike() {
    const fields = headers();
    fields.set('Ihvp-Block', '0');
    fields.set('Ihvp-Frame', '99999999');
    fields.set('Ihvp-Frames', '1e9');
    fields.set('Ihvp-Crc32', 'zz');
    return fields;
  }

  it('garbage on every subject while nothing runs', async () => {
    const all = await subjects();
    expect(all.length).toBeGreaterThan(70);
    await litter(all);
    expect((await farm.ask(lissa)).values).toEqual(healthy.lissa);
  });

  it('garbage on every subject that a job uses while it runs', async () => {
    const { nc, names } = farm.client;
    const used = new Set<string>();
    const spy = nc.subscribe(`${names.prefix}.v1.>`, {
      callback: (_, { subject }) => void used.add(subject),
    });
    const job = await farm.client.submit(lissa);
    const ended = farm.client.wait(job.id);
    const littered = new Set<string>();
    let over = false;
    void ended.finally(() => (over = true));
    while (!over) {
      // A message on a job's cancel subject cancels it, whatever it says; progress and state have readers only.
      const fresh = [...used].filter((subject) => !littered.has(subject) && !/\.job\./.test(subject));
      for (const subject of fresh) littered.add(subject);
      await litter(fresh);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    spy.unsubscribe();
    await ended;
    const { values } = await farm.client.vectors(job.id, 'solution.arrow');
    expect(Float64Array.from(values)).toEqual(healthy.lissa);
    for (const part of ['heartbeat', 'task', 'sent', 'reply'])
      expect([...littered].filter((subject) => subject.includes(part)).length).toBeGreaterThan(0);
  });

  it('clients that listen hear what is well formed and no more', async () => {
    const { nc, names } = farm.client;
    const present = farm.client.workers();
    await litter([names.worker('ghost').heartbeat]);
    expect(await present).toHaveLength(2);
    const { id } = await farm.client.submit(lissa);
    const seen: number[] = [];
    const ended = farm.client.watch(id, { onProgress: ({ iteration }) => void seen.push(iteration) });
    await litter([names.job(id).progress, names.job(id).state]);
    nc.publish(names.job(id).state, JSON.stringify({ id, state: 'done' }));
    expect(await ended).toMatchObject({ id, state: 'done', request: { type: 'solve' } });
    expect(Math.max(...seen)).toBe(40);
  });

  it('a heartbeat of a worker that is not there costs a retry at most', async () => {
    const [worker] = await farm.client.workers();
    const { nc, names } = farm.client;
    nc.publish(names.worker('ghost').heartbeat, JSON.stringify({ ...worker, id: 'ghost', threads: 8 }));
    await nc.flush();
    const { values, report } = await farm.ask(cg);
    expect(values).toEqual(healthy.cg);
    expect(report.workers.map(({ id }) => id)).not.toContain('ghost');
  });

  it('tasks that ask for what is not there are refused by the worker, which goes on', async () => {
    const { nc, names } = farm.client;
    const { report } = await farm.ask({ type: 'gradient', model: 'good', dataset: 'good' });
    const { leaves: _, rows: __, leafRows, ...dataset } = report.dataset;
    const operator = 'stranger';
    const spec: OperatorSpec = {
      operator,
      network,
      dataset,
      leafRows,
      curvature: 'hessian',
      hvp: { mode: 'exact' },
    };
    const [worker] = await farm.client.workers();
    const task = async (body: object) =>
      (await nc.request(names.worker(worker!.id).task, JSON.stringify(body), { timeout: 10_000 })).json();
    expect(await task({ task: 'open', ...spec })).toMatchObject({ ok: true });
    const outbox = new BlockOutbox(nc, names, operator);
    const block = await outbox.send(Float32Array.of(0.1, 0.2, 0.3, 0), 1);
    const point = { id: 0, parameters: block };
    const linearize = { task: 'linearize', operator, point, leaves: [{ start: 0, end: 1 }] };
    const refused = (code: string) => ({ ok: false, error: { code } });
    expect(await task({ ...linearize, operator: 'other' })).toMatchObject(refused('unknown-operator'));
    const wrongLength = { ...linearize, point: { id: 0, parameters: { ...block, values: 5 } } };
    expect(await task(wrongLength)).toMatchObject(refused('shape-mismatch'));
    const tooMany = { ...linearize, leaves: [{ start: 0, end: 2 ** 40 }] };
    expect(await task(tooMany)).toMatchObject(refused('shape-mismatch'));
    const neverSent = { ...linearize, point: { id: 0, parameters: { ...block, id: 99 } } };
    expect(await task(neverSent)).toMatchObject(refused('timeout'));
    expect(await task(linearize)).toMatchObject({ ok: true, nodes: [{ level: 0, index: 0 }] });
    outbox.close();
  });
});
