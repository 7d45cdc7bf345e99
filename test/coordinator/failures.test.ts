import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { jetstream } from '@nats-io/jetstream';
import { JobStore } from '../../coordinator/job-store.js';
import { startCoordinator, type RunningCoordinator } from '../../coordinator/start.js';
import { importDataset } from '../../datasets/import.js';
import { DatasetRegistry } from '../../datasets/registry.js';
import { openStore } from '../../datasets/stores/open-store.js';
import { logisticRegression } from '../../datasets/synthetic.js';
import { connect, type Client } from '../../protocol/client.js';
import type { Job, JobState, Progress } from '../../protocol/jobs.js';
import { Objects } from '../../protocol/objects.js';
import { requestSchema, type RequestInput } from '../../protocol/requests.js';
import { startWorker, type RunningWorker } from '../../worker/start.js';
import { type TestBroker, startTestBroker } from '../support/broker.js';
import { breakableLine, type BreakableLine } from '../support/breakable.js';
import { rawPublish } from '../support/raw-publish.js';

/*
 * One farm, and everything that can go wrong with its processes, one after the other. The arithmetic is that of a small
 * logistic regression; what is tested is that no bit of an answer depends on what happened on the way.
 */

let broker: TestBroker;
let client: Client;
let coordinator: RunningCoordinator;
let worker: RunningWorker | undefined;
let children: ChildProcess[];
/** What the coordinator and the worker in this process are connected by. */
let lines: { coordinator: BreakableLine; worker: BreakableLine };
/** What the requests come to where nothing happens on the way. */
let undisturbed: { cg: Uint8Array; lissa: Uint8Array };

const common = {
  type: 'solve' as const,
  model: 'm',
  dataset: 'd',
  rhs: { kind: 'gradient' as const, dataset: 'd', rows: [3, 1, 4] },
  damping: 0.01,
};
/** CG that does not end before its iterations do, so that there is a middle. */
const cg: RequestInput = {
  ...common,
  leafRows: 64,
  method: { name: 'cg', tolerance: 1e-200, maxIterations: 300 },
};
const endless: RequestInput = { ...common, method: { name: 'lissa', scale: 5, depth: 1_000_000 } };
const lissa: RequestInput = {
  ...common,
  method: { name: 'lissa', scale: 5, batchSize: 32, depth: 20, samples: 3, seed: 1, blockSize: 2 },
};
const farm = () => ({ url: broker.url, prefix: broker.prefix });
const beginCoordinator = () => startCoordinator({ ...farm(), url: lines.coordinator.url });
const beginWorker = (threads = 1) =>
  startWorker({ ...farm(), url: lines.worker.url, engine: 'cpu', threads });

/** A worker that can be killed; resolves when it is ready. */
async function spawnWorker(): Promise<ChildProcess> {
  const main = fileURLToPath(new URL('../../cli/main.js', import.meta.url));
  const words = ['worker', '--prefix', broker.prefix, '--engine', 'cpu', '--threads', '1'];
  const child = spawn(process.execPath, [main, ...words], {
    env: { ...process.env, IHVP_NATS_URL: broker.url },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return new Promise((resolve, reject) => {
    createInterface(child.stderr).on('line', (line) => line.includes('is ready') && resolve(child));
    child.once('exit', (status) => reject(new Error(`the worker ended with status ${status}`)));
  });
}

beforeAll(async () => {
  broker = await startTestBroker();
  client = await connect(farm());
  lines = { coordinator: await breakableLine(broker.url), worker: await breakableLine(broker.url) };
  const { connection: nc, names } = broker;
  await importDataset({
    source: logisticRegression({ rows: 1200, width: 30, seed: 5 }),
    name: 'd',
    store: openStore('nats:', 'd', await Objects.open(nc, names.stores.shards)),
    registry: await DatasetRegistry.open(nc, names),
    shuffleSeed: 7,
    shardRows: 300,
  });
  const network = {
    input: { shape: [30] },
    layers: [{ type: 'dense' as const, units: 1, useBias: true, activation: 'linear' as const }],
    loss: 'sigmoidCrossEntropy' as const,
    l2: 0.01,
  };
  const parameters = Float32Array.from({ length: 31 }, (_, i) => Math.sin(i));
  await (await client.models()).put({ name: 'm', ...network }, parameters);
  [coordinator, worker, ...children] = await Promise.all([
    beginCoordinator(),
    beginWorker(),
    spawnWorker(),
    spawnWorker(),
  ]);
  await client.submit(cg, 'undisturbed-cg');
  await client.submit(lissa, 'undisturbed-lissa');
  undisturbed = { cg: await solution('undisturbed-cg'), lissa: await solution('undisturbed-lissa') };
}, 60_000);

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await coordinator.stop();
  await worker?.stop();
  await client.close();
  await Promise.all([lines.coordinator.close(), lines.worker.close()]);
  await broker.stop();
}, 30_000);

/** The solution's bytes, once the job is done. */
async function solution(id: string): Promise<Uint8Array> {
  await client.wait(id);
  return (await client.file(id, 'solution.arrow'))!;
}

/** Does something once, in the middle of a job, and gives what came of the job and the states that it went through. */
async function disturbed(request: RequestInput, id: string, act: () => unknown) {
  const states: JobState[] = [];
  let acting: Promise<unknown> | undefined;
  const onProgress = ({ iteration }: Progress) => {
    if (iteration >= 2) acting ??= Promise.resolve(act());
  };
  await client.submit(request, id);
  const { report, job } = await client.wait(id, { onProgress, onState: ({ state }) => states.push(state) });
  expect(acting).toBeDefined();
  await acting;
  return { bytes: (await client.file(id, 'solution.arrow'))!, report, job, states };
}

const until = async (condition: () => Promise<boolean>) => {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
};

describe('a farm', () => {
  it('a worker that is asked to stop in the middle of CG: the same bits, and it exits with status 0', async () => {
    const child = children.pop()!;
    const exited = once(child, 'exit');
    const { bytes, report } = await disturbed(cg, 'drained', () => child.kill('SIGTERM'));
    expect(report.workers).toHaveLength(3);
    expect(bytes).toEqual(undisturbed.cg);
    expect(await exited).toEqual([0, null]);
  }, 30_000);

  it('a worker that freezes in the middle is lost, and one that comes in the middle takes part: the same bits', async () => {
    const [child] = children;
    const frozen = await disturbed(cg, 'frozen', () => child!.kill('SIGSTOP'));
    expect(frozen.bytes).toEqual(undisturbed.cg);
    const joined = await disturbed(cg, 'joined', () => child!.kill('SIGCONT'));
    expect(joined.bytes).toEqual(undisturbed.cg);
    expect(joined.report.workers).toHaveLength(2);
  }, 40_000);

  it('a worker that is killed in the middle of LiSSA: the same bits', async () => {
    const child = children.pop()!;
    const { bytes, report } = await disturbed(lissa, 'killed', () => child.kill('SIGKILL'));
    expect(report.workers).toHaveLength(2);
    expect(bytes).toEqual(undisturbed.lissa);
  }, 30_000);

  it('a coordinator that is replaced in the middle: the job goes on elsewhere, the same bits', async () => {
    const { job, bytes, states } = await disturbed(cg, 'replaced', async () => {
      const first = coordinator;
      coordinator = await beginCoordinator();
      await first.stop();
    });
    expect(bytes).toEqual(undisturbed.cg);
    expect(job).toMatchObject({ state: 'done', coordinator: coordinator.id, attempts: 1 });
    expect(states.filter((state) => state === 'running').length).toBeGreaterThanOrEqual(2);
  }, 30_000);

  it('connections that break in the middle, of the coordinator and of a worker: the same bits', async () => {
    for (const line of ['coordinator', 'worker'] as const) {
      const { bytes } = await disturbed(cg, `broken-${line}`, () => lines[line].cut());
      expect(bytes).toEqual(undisturbed.cg);
    }
  }, 40_000);

  it('garbage on every subject that the system listens on, malformed headers too, in the middle: the same bits', async () => {
    const { names, connection: nc, url } = broker;
    const heard = new Set<string>();
    nc.subscribe(`${broker.prefix}.v1.>`, { callback: (_, { subject }) => void heard.add(subject) });
    const { bytes, report } = await disturbed(cg, 'garbage', async () => {
      const job = names.job('garbage');
      const everything = [
        ...[...heard].filter((subject) => subject !== job.cancel),
        ...Object.values(names.jobs),
        names.stores.queue.subject,
        ...Object.values(names.worker('nobody')),
        ...Object.values(names.coordinator('nobody')),
      ];
      for (const subject of everything) {
        for (const text of ['', '{', 'null', '[]', '{"id":"x"}', '{"task":"open"}'])
          nc.publish(subject, text);
        nc.publish(subject, Buffer.from([0xff, 0x00]), { reply: `${broker.prefix}.nobody` });
        nc.publish(subject, JSON.stringify({ ['k'.repeat(500_000)]: 1 }), {
          reply: `${broker.prefix}.nobody`,
        });
        await rawPublish(url, subject, 'a key: with spaces\r\n\u0001', Buffer.from('{}'));
      }
      expect(everything.length).toBeGreaterThan(12);
    });
    expect(bytes).toEqual(undisturbed.cg);
    expect(report.workers).toHaveLength(1);
  }, 30_000);

  it('cancel: while running, waiting and queued', async () => {
    await client.submit(endless, 'running');
    await until(async () => (await client.status('running')).state === 'running');
    expect((await client.cancel('running')).state).toBe('running');
    expect((await client.watch('running')).state).toBe('cancelled');

    await worker!.stop();
    worker = undefined;
    await client.submit(cg, 'waiting');
    await client.submit(cg, 'queued');
    await until(async () => (await client.status('waiting')).state === 'waiting');
    expect((await client.status('waiting')).message).toMatch(/no worker/);
    expect(await client.cancel('queued')).toMatchObject({ state: 'cancelled' });
    await client.cancel('waiting');
    for (const id of ['waiting', 'queued']) {
      expect(await client.watch(id)).toMatchObject({ state: 'cancelled' });
      await expect(client.wait(id)).rejects.toMatchObject({ code: 'cancelled' });
    }
    expect(await client.cancel('queued')).toMatchObject({ state: 'cancelled' });
  }, 30_000);

  it('a worker that comes after the job: it waits, saying so, and then runs; the same id again is the same job', async () => {
    const states: JobState[] = [];
    await client.submit(lissa, 'late');
    const waited = client.wait('late', { onState: ({ state }) => states.push(state) });
    await until(() => Promise.resolve(states.includes('waiting')));
    expect(await client.submit(lissa, 'late')).toMatchObject({ id: 'late', state: 'waiting' });
    worker = await beginWorker(2);
    await waited;
    expect(await client.file('late', 'solution.arrow')).toEqual(undisturbed.lissa);
    expect(await client.submit(lissa, 'late')).toMatchObject({ state: 'done', attempts: 1 });
    await expect(client.submit(cg, 'late')).rejects.toMatchObject({ code: 'already-exists' });
  }, 30_000);

  it('jobs that a dead coordinator left: cancelled if that was wished for, failed after five, else run; garbage is dropped', async () => {
    await coordinator.stop();
    const { connection: nc, names } = broker;
    const jobs = await JobStore.open(nc, names);
    const leave = async (id: string, left: Partial<Job>) => {
      await jobs.submit({ id, request: requestSchema.parse(lissa) });
      await jobs.change(id, (job) => ({ ...job, state: 'running', coordinator: 'dead', ...left }));
    };
    for (const body of ['', '{"id":"x"}', Buffer.from([0xff])])
      await jetstream(nc).publish(names.stores.queue.subject, body);
    await leave('left-wished', { attempts: 1, cancelRequested: true });
    await leave('left-often', { attempts: 5 });
    await leave('left-once', { attempts: 1 });
    coordinator = await beginCoordinator();
    expect(await solution('left-once')).toEqual(undisturbed.lissa);
    expect(await client.status('left-once')).toMatchObject({ state: 'done', attempts: 2 });
    expect(await client.status('left-wished')).toMatchObject({ state: 'cancelled', attempts: 1 });
    expect(await client.status('left-often')).toMatchObject({ state: 'failed' });
  }, 30_000);

  it('a request or a list that would not fit a message harms nobody', async () => {
    const rows = Array.from({ length: 4096 }, (_, i) => i % 1200);
    const { connection: nc, names } = broker;
    const jobs = await JobStore.open(nc, names);
    const large = requestSchema.parse({ ...common, rhs: { ...common.rhs, rows }, method: { name: 'cg' } });
    for (let i = 0; i < 60; i++) await jobs.ensure({ id: `large-${i}`, request: large });
    const listed = await client.jobs(1000);
    expect(listed.length).toBeGreaterThan(10);
    expect(listed.length).toBeLessThan(60);
    await expect(client.submit({ ...common, model: 'm'.repeat(2e6) } as RequestInput)).rejects.toMatchObject({
      code: 'bad-request',
    });
    await expect(client.status('x'.repeat(2e6))).rejects.toMatchObject({ code: 'too-large' });
    expect((await client.status('late')).state).toBe('done');
  }, 30_000);

  it('closes operators when their job has ended', async () => {
    await until(async () => (await client.workers(1100)).every(({ operators }) => operators.length === 0));
  }, 5000);
});
