import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generator, normal } from '../../protocol/random.js';
import { connect } from '../../protocol/client.js';
import { connectBroker } from '../../protocol/connection.js';
import type { Manifest } from '../../protocol/dataset.js';
import type { Job, Report, StoredFile } from '../../protocol/jobs.js';
import type { Model } from '../../protocol/model.js';
import type { WorkerHeartbeat } from '../../protocol/tasks.js';
import { coordinatorHeartbeatSchema } from '../../protocol/tasks.js';
import { decodeVectors, encodeVectors } from '../../protocol/vectors.js';
import { command, startCommand } from '../support/command.js';
import { relativeError, solveDense, type Matrix } from '../support/dense.js';
import { npy } from '../support/npy.js';
import { referenceGradient } from '../support/reference.js';
import { writeTfjsModel } from '../support/tfjs-model.js';

/* A newcomer's afternoon: one farm by `ihvp up`, a CSV file, and every command, each a process of its own. */

const prefix = `cli${process.pid}`;
const rows = 300;
const l2 = 0.01;
let folder: string;
let url: string;
let up: ReturnType<typeof startCommand>;

/** x̃ = (x, 1) and y of each row, as the CSV file has them. */
const random = generator(11);
const data = Array.from({ length: rows }, () => {
  const x = Array.from({ length: 3 }, () => Number(normal(random).toFixed(5)));
  const y = Number((x[0]! - 2 * x[1]! + 0.5 * x[2]! + 0.3 + 0.1 * normal(random)).toFixed(5));
  return { x: [...x, 1], y };
});
/** (2/n) Σ x̃x̃ᵀ + l2·I, the Hessian of the objective, and (2/n) Σ y x̃. */
const hessian: Matrix = data[0]!.x.map((_, i) =>
  data[0]!.x.map((_, j) => data.reduce((sum, { x }) => sum + (2 * x[i]! * x[j]!) / rows, i === j ? l2 : 0)),
);
const moments = data[0]!.x.map((_, i) => data.reduce((sum, { x, y }) => sum + (2 * y * x[i]!) / rows, 0));

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ihvp-test-'));
  const lines = data.map(({ x, y }) => `${x[0]},${x[1]},${x[2]},${y}`);
  await writeFile(join(folder, 'houses.csv'), ['size,age,garden,price', ...lines].join('\n'));
  const shared = process.env.IHVP_NATS_URL;
  up = startCommand(['up', '--workers', '2', '--prefix', prefix, '--json'], {
    ...(shared && { url: shared }),
  });
  while (!up.said.stdout.includes('\n')) {
    if (up.child.exitCode !== null) throw new Error(`ihvp up ended: ${up.said.stderr}`);
    await delay(50);
  }
  url = (JSON.parse(up.said.stdout) as { url: string }).url;
});
afterAll(async () => {
  up?.child.kill('SIGTERM');
  await up?.finished;
  await rm(folder, { recursive: true, force: true });
});

const words = (text: string) => [...text.split(' '), '--prefix', prefix];
/** What the command prints for people. */
async function ihvp(text: string): Promise<string> {
  const { code, stdout, stderr } = await command(words(text), { url, folder });
  expect({ text, code, stderr: code === 0 ? '' : stderr }).toEqual({ text, code: 0, stderr: '' });
  return stdout;
}
/** The one document that the command prints with --json; nothing else is printed. */
async function json<T>(text: string): Promise<T> {
  const { code, stdout, stderr } = await command([...words(text), '--json'], { url, folder });
  expect({ text, code, stderr }).toEqual({ text, code: 0, stderr: '' });
  expect(stdout.trimEnd()).not.toContain('\n');
  return JSON.parse(stdout) as T;
}
const vectors = async (path: string) => decodeVectors(await readFile(join(folder, path)));

interface Finished {
  job: Job;
  report: Report;
  files: StoredFile[];
  saved: string[];
}

describe('a newcomer', () => {
  it('finds an empty farm that says what to do first', async () => {
    expect(await ihvp('dataset list')).toContain('ihvp dataset import mnist');
    expect(await ihvp('model list')).toContain('ihvp model create');
    expect(await ihvp('jobs')).toContain('ihvp solve');
    const { workers } = await json<{ workers: WorkerHeartbeat[] }>('workers');
    expect(workers.map(({ state }) => state)).toEqual(['ready', 'ready']);
  });

  it('imports a CSV file and makes a model for it', async () => {
    const said = await ihvp('dataset import houses.csv --label price');
    expect(said).toContain('houses: 300 rows × 3 features, real, 1 shard ');
    const { datasets } = await json<{ datasets: { name: string; rows: number }[] }>('dataset list');
    expect(datasets).toMatchObject([{ name: 'houses', rows }]);
    const manifest = await json<Manifest>('dataset show houses');
    expect(manifest).toMatchObject({ rows, features: { width: 3 }, shuffleSeed: 0 });
    const model = await json<Model>(`model create lin --layers 3-1 --loss squaredError --l2 ${l2}`);
    expect(model.parameters.count).toBe(4);
    expect(await ihvp('model list')).toMatch(
      /^name +layers +loss +l2 +parameters\nlin +3 → 1 +squaredError +0\.01 +4\n$/,
    );
  });

  it('fits it: the ridge solution in closed form', async () => {
    const { report } = await json<Finished>('fit --model lin --dataset houses --into fitted --out fit');
    expect(report.status).toBe('converged');
    const { values } = await vectors('fit/parameters.arrow');
    // ‖∇‖ ≤ 1e-5 and the smallest eigenvalue is about 2: 1e-5 relative, and float32.
    expect(relativeError(values, solveDense(hessian, moments))).toBeLessThan(1e-5);
  });

  it('solves for the gradients of three rows, and multiplies the answer back', async () => {
    const text =
      'solve --model fitted --dataset houses --rhs grad:houses:7,0-1 --tolerance 1e-6 --out solved';
    const { report, saved, files } = await json<Finished>(text);
    expect(report.columns).toHaveLength(3);
    expect(saved).toEqual(['solved/report.json', 'solved/solution.arrow']);
    expect(files.map(({ name }) => name.split('/')[1])).toEqual(['report.json', 'solution.arrow']);
    const onDisk = JSON.parse(await readFile(join(folder, 'solved/report.json'), 'utf8')) as Report;
    expect(onDisk).toEqual(report);

    const { values: theta } = await vectors('fit/parameters.arrow');
    const solution = await vectors('solved/solution.arrow');
    await ihvp('hvp --model fitted --dataset houses --rhs solved/solution.arrow --out product');
    const product = await vectors('product/product.arrow');
    expect([solution.count, product.count]).toEqual([3, 3]);
    for (const [k, row] of [7, 0, 1].entries()) {
      const { x, y } = data[row]!;
      const error = x.reduce((sum, value, i) => sum + value * theta[i]!, 0) - y;
      const gradient = x.map((value) => 2 * error * value);
      const column = (block: { values: ArrayLike<number> }) =>
        Array.from(block.values).slice(4 * k, 4 * k + 4);
      // ŷ − y is a difference of float32 numbers of size 3 that may come down to 1e-2: 2⁻²⁴·3/1e-2.
      expect(relativeError(column(solution), solveDense(hessian, gradient))).toBeLessThan(5e-5);
      expect(relativeError(column(product), gradient)).toBeLessThan(5e-5);
    }
  });

  it('solves for ones and for a file, in Arrow and in NumPy form, and reads what happened', async () => {
    const said = await ihvp(
      'solve --model fitted --dataset houses --rhs ones --damping 0.5 --id first --out ones',
    );
    expect(said).toMatch(/^solve first: converged\n/);
    expect(said).toContain('λ = 0.5');
    expect(said).toContain('saved: ones/solution.arrow');
    const v = Float64Array.of(1, -2, 3, 0.5);
    await writeFile(join(folder, 'v.npy'), npy(v));
    await writeFile(join(folder, 'v.arrow'), encodeVectors(v, 1, 4));
    await json('solve --model fitted --dataset houses --rhs v.npy --out npy');
    await json('solve --model fitted --dataset houses --rhs v.arrow --out arrow');
    const [fromNpy, fromArrow] = [await vectors('npy/solution.arrow'), await vectors('arrow/solution.arrow')];
    expect(fromNpy.values).toEqual(fromArrow.values);
    expect(relativeError(fromNpy.values, solveDense(hessian, v))).toBeLessThan(1e-5);
  });

  it('asks for the gradient: central differences of the loss agree', async () => {
    const theta = Float64Array.of(0.5, -1, 0.25, 0.75);
    const u = Float64Array.of(1, 2, -1, 0.5);
    const step = 0.125;
    const report = async (name: string, at: Float64Array) => {
      await writeFile(join(folder, `${name}.npy`), npy(at));
      await json(`model create ${name} --layers 3-1 --loss squaredError --l2 ${l2} --parameters ${name}.npy`);
      return (await json<Finished>(`gradient --model ${name} --dataset houses --out ${name}`)).report;
    };
    await report('here', theta);
    const ahead = await report(
      'ahead',
      theta.map((value, i) => value + step * u[i]!),
    );
    const behind = await report(
      'behind',
      theta.map((value, i) => value - step * u[i]!),
    );
    const { values } = await vectors('here/gradient.arrow');
    const slope = u.reduce((sum, value, i) => sum + value * values[i]!, 0);
    // The objective is quadratic: the difference is exact but for float32 losses of size 10, 2⁻²⁴·10/0.25.
    expect(Math.abs((ahead.loss! - behind.loss!) / (2 * step) - slope)).toBeLessThan(1e-5 * Math.abs(slope));
  });

  it('imports a TensorFlow.js model: its gradient is the reference', async () => {
    const weights = Float32Array.of(0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.05, -0.05, 0.7, -0.8, 0.2);
    await writeTfjsModel(folder, weights);
    const model = await json<Exclude<Model, { plugin: unknown }>>(
      'model import mlp model.json --loss squaredError',
    );
    expect(model).toMatchObject({ input: { shape: [3] }, parameters: { count: 11 } });
    await json('gradient --model mlp --dataset houses --out mlp');
    const reference = referenceGradient(
      model,
      weights,
      data.map(({ x, y }) => ({ x: x.slice(0, 3), y: [y] })),
    );
    const { values } = await vectors('mlp/gradient.arrow');
    expect(
      relativeError(
        values,
        reference.gradient.map((value) => value / rows),
      ),
    ).toBeLessThan(1e-5);
  });

  it('finds a finished job again', async () => {
    const { jobs } = await json<{ jobs: Job[] }>('jobs --limit 3');
    expect(jobs).toHaveLength(3);
    expect(jobs[0]!.request).toMatchObject({ type: 'gradient', model: 'mlp' });
    expect(await ihvp('jobs')).toMatch(/\nfirst +solve cg +fitted +houses +done /);
    const { report } = await json<Finished>('result first --out again');
    expect(report.damping).toBe(0.5);
    expect(await readFile(join(folder, 'again/solution.arrow'))).toEqual(
      await readFile(join(folder, 'ones/solution.arrow')),
    );
    expect(await ihvp('watch first')).toMatch(/^solve first: converged\n/);
  });

  it('repeats a solve from its report, to the bit', async () => {
    const problem = '--model fitted --dataset houses --rhs v.arrow';
    const methods = [
      'cg --tolerance 1e-7 --leaf-rows 64 --preconditioner kfac',
      'cg --block --preconditioner nystrom --seed 3',
      'direct --hvp finite-difference',
      'minres',
      'newton-cg',
      'arnoldi',
      'auto',
      'lissa --scale 20 --batch-size 32 --depth 3 --samples 2 --seed 17',
      'lissa',
    ];
    for (const method of methods) {
      await json(`solve ${problem} --damping 0.3 --method ${method} --out once`);
      const { report } = await json<Finished>('solve --from once/report.json --out twice');
      expect(report.request).toMatchObject({ method: { name: method.split(' ')[0] }, damping: 0.3 });
      const [once, twice] = await Promise.all(
        ['once', 'twice'].map((out) => readFile(join(folder, out, 'solution.arrow'))),
      );
      expect(once!.equals(twice!)).toBe(true);
    }
    await json('solve --model mlp --dataset houses --rhs ones --damping 0 --on-indefinite shift --out shift');
    const raised = await json<Finished>('solve --from shift/report.json --out shifted');
    expect(raised.report.indefinite).toMatchObject({ policy: 'shift' });
    expect(await readFile(join(folder, 'shift/solution.arrow'))).toEqual(
      await readFile(join(folder, 'shifted/solution.arrow')),
    );
    const other = await command(words('solve --from once/report.json --damping 1'), { url, folder });
    expect(other.stderr).toContain('--damping would change nothing without a request of your own');
    const fit = await command(words('solve --from fit/report.json'), { url, folder });
    expect(fit.stderr).toContain('is the report of a fit');
    await ihvp('fit --model lin --dataset houses --into fitted --replace --tolerance 0.1');
    await json(`model create heavy --layers 3-1 --loss squaredError --l2 ${l2}`);
    await json('solve --model heavy --dataset houses --rhs ones --damping 0.3 --out heavy');
    await json(`model create heavy --layers 3-1 --loss squaredError --l2 ${2 * l2} --replace`);
    const heavier = await command(words('solve --from heavy/report.json'), { url, folder });
    expect(heavier.stderr).toContain('layers, loss or l2 of model "heavy" changed');
    await json('model rm heavy');
    const changed = await command(words('solve --from once/report.json'), { url, folder });
    expect(changed.stderr).toContain('the parameters of model "fitted" changed');
    await ihvp('solve --model lin --dataset houses --rhs ones --damping 0.3 --out once');
    await ihvp('dataset import houses.csv --label price --name houses --seed 5 --replace');
    const replaced = await command(words('solve --from once/report.json'), { url, folder });
    expect(replaced.stderr).toContain('dataset "houses" changed');
    await ihvp('dataset import houses.csv --label price --name houses --replace');
  });

  it('removes what is no longer wanted', async () => {
    expect(await json('model rm mlp')).toEqual({ removed: 'mlp' });
    await ihvp('dataset import houses.csv --label price --name twice');
    expect(await ihvp('dataset rm twice')).toBe('removed dataset twice\n');
    const { datasets } = await json<{ datasets: { name: string }[] }>('dataset list');
    expect(datasets.map(({ name }) => name)).toEqual(['houses']);
  });
});

describe('a job under way', () => {
  const long = (id: string, depth: number) =>
    `solve --model fitted --dataset houses --rhs ones --method lissa --scale 50 --batch-size 300 --depth ${depth} --id ${id}`;

  it('two processes watch it and end with the same report; Ctrl-C at one that submitted leaves it running', async () => {
    const submitter = startCommand(words(long('watched', 400)), { url, folder });
    while (!submitter.said.stderr.includes('lissa')) await delay(20);
    submitter.child.kill('SIGINT');
    const left = await submitter.finished;
    expect(left.code).toBe(130);
    expect(left.stderr).toContain('job watched goes on: ihvp watch watched');
    const [first, second] = await Promise.all([
      json<Finished>('watch watched'),
      command(words('watch watched'), { url, folder }),
    ]);
    expect(first.report).toMatchObject({ status: 'completed', iterations: 400 });
    expect(second.code).toBe(0);
    expect(second.stdout).toMatch(/^solve watched: completed\n/);
    expect(second.stderr).toMatch(/lissa: \d+\/100 .*iteration/);
  });

  it('is cancelled; its watcher and its result say so, and the next job runs', async () => {
    const { job } = await json<{ job: Job }>(`${long('doomed', 1_000_000)} --detach`);
    expect(job.id).toBe('doomed');
    const watcher = command([...words('watch doomed'), '--json'], { url, folder });
    await delay(500);
    expect(await ihvp('cancel doomed')).toBe('job doomed is cancelled: job doomed was cancelled\n');
    const { code, stdout } = await watcher;
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'cancelled' } });
    const { report } = await json<Finished>('hvp --model fitted --dataset houses --rhs ones');
    expect(report.status).toBe('done');
  });
});

describe('ihvp up', () => {
  it('killed with SIGKILL, it leaves no coordinator, worker or broker behind', async () => {
    const client = await connect({ url, prefix });
    const pids = (await client.workers()).map(({ pid }) => pid);
    const heartbeats = client.nc.subscribe(client.names.coordinator('*').heartbeat, { max: 1 });
    for await (const message of heartbeats) pids.push(coordinatorHeartbeatSchema.parse(message.json()).pid);
    await client.close();
    expect(pids).toHaveLength(3);
    expect(pids.every(isRunning)).toBe(true);

    up.child.kill('SIGKILL');
    await up.finished;
    const deadline = Date.now() + 10_000;
    while (pids.some(isRunning) && Date.now() < deadline) await delay(50);
    expect(pids.filter(isRunning)).toEqual([]);
    if (process.env.IHVP_NATS_URL) return; // not our broker
    while ((await isServed(url)) && Date.now() < deadline) await delay(50);
    expect(await isServed(url)).toBe(false);
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function isServed(address: string): Promise<boolean> {
  try {
    await (await connectBroker(address)).close();
    return true;
  } catch {
    return false;
  }
}
