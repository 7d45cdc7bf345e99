import { startLocalFarm } from '../cli/farm.js';
import { formatNumber } from '../cli/terminal/format.js';
import { conjugateGradient } from '../coordinator/solvers/conjugate-gradient.js';
import { readMnist } from '../datasets/read-mnist.js';
import type { RowSource } from '../datasets/rows.js';
import type { Client } from '../protocol/client.js';
import type { Report } from '../protocol/jobs.js';
import { networkSchema, parameterLayout } from '../protocol/model.js';
import type { RequestInput } from '../protocol/requests.js';
import { importRows } from './import-rows.js';
import { clocks, median, normals } from './measure.js';
import { networks } from './networks.js';
import { report, type BenchRow } from './table.js';

/*
 * Solvers on a farm of two wasm workers and the first 4,000 of MNIST's test digits. Every solve is a line on standard error as soon as it
 * is there, the goals are on standard output at the end.
 */

type Method = Extract<RequestInput, { type: 'solve' }>['method'];
type Name = keyof typeof models;

const dense = (units: number, activation = 'linear') => ({ type: 'dense', units, activation });
const network = (shape: number[], layers: object[]) =>
  networkSchema.parse({ input: { shape }, layers, loss: 'softmaxCrossEntropy', l2: 0.01 });
const models = {
  softmax: { ...networks.softmax, l2: 0.01 },
  /** Softmax regression on means of 4 × 4 pixels. */
  pooled: network(
    [28, 28, 1],
    [{ type: 'averagePooling2d', poolSize: [4, 4] }, { type: 'flatten' }, dense(10)],
  ),
  mlp: network([784], [dense(250, 'tanh'), dense(10)]),
};
const sizeOf = (name: Name) => parameterLayout(models[name]).count;

/** What is tried by hand, by the name that its line has. */
const byHand = {
  cg: { name: 'cg' },
  'block cg': { name: 'cg', block: true },
  'cg, nystrom': { name: 'cg', preconditioner: 'nystrom' },
  'cg, kfac': { name: 'cg', preconditioner: 'kfac' },
  minres: { name: 'minres' },
  direct: { name: 'direct' },
} as const;
const auto = { name: 'auto' } as const;
/** Methods with tolerances of their own. */
const others: [string, Method][] = [
  ['newton-cg', { name: 'newton-cg', averageTolerance: 1e-6 }],
  ['lissa', { name: 'lissa', tolerance: 0.05 }],
  ['arnoldi, rank 40', { name: 'arnoldi', rank: 40 }],
];

/** So many of a source's rows, a multiple of a batch's. */
const first = (source: RowSource, count: number): RowSource => ({
  ...source,
  rows: count,
  async *[Symbol.asyncIterator]() {
    for await (const batch of source) {
      if (batch.firstRow + batch.rows > count) return;
      yield batch;
    }
  },
});

const widths = [20, 18, 6, 4, 8, 8, 18];
const line = (words: string[]) =>
  process.stderr.write(`${words.map((word, i) => word.padEnd(widths[i] ?? 0)).join(' ')}\n`);

async function submit(client: Client, problem: Name, count: number, method: Method) {
  const { id } = await client.submit({
    type: 'solve',
    model: problem,
    dataset: 'digits',
    curvature: problem === 'mlp' ? 'gauss-newton' : 'hessian',
    rhs: { kind: 'gradient', dataset: 'digits', rows: Array.from({ length: count }, (_, i) => i) },
    damping: 0.01,
    method,
  });
  return client.wait(id);
}

async function solve(
  client: Client,
  problem: Name,
  label: string,
  count: number,
  method: Method,
): Promise<Report> {
  const { report: found } = await submit(client, problem, count, method);
  const { products, seconds, status, columns, chosen } = found;
  line([
    ...[`${problem}, p = ${sizeOf(problem)}`, label],
    ...['tolerance' in method ? `${method.tolerance}` : '', String(count)],
    ...[formatNumber(products / count, 3), formatNumber(seconds.solving, 3), status],
    formatNumber(Math.max(...columns!.map(({ trueResidual }) => trueResidual ?? NaN)), 2),
    chosen
      ? `took ${chosen.again!.steps.map(({ route, iterations }) => `${route} ${iterations}`).join(', ')}`
      : '',
  ]);
  return found;
}

/** A solve of less than so many seconds is repeated: its time says little. */
const short = 3;
/** How often, so that all solves by auto take about four seconds. */
const roundsOf = (seconds: number) => Math.min(41, Math.max(9, Math.ceil(4 / seconds)));
/** A method that takes so many times as long as auto is not repeated. */
const far = 3;

/**
 * Every method, each vector to a tolerance, and how far auto is from the best of them: where they are short, the median of how
 * far it was in each of several turns.
 */
async function compare(
  client: Client,
  problem: Name,
  count: number,
  tolerance: number,
  names: (keyof typeof byHand)[],
): Promise<{ rows: BenchRow[]; found: Map<string, Report> }> {
  const methods: [string, Method][] = names.map((name) => [name, { ...byHand[name], tolerance }]);
  methods.push(['auto', { ...auto, tolerance }]);
  const found = new Map<string, Report>();
  const seconds = new Map<string, number[]>();
  for (const [name, method] of methods) {
    const solved = await solve(client, problem, name, count, method);
    found.set(name, solved);
    seconds.set(name, [solved.seconds.solving]);
  }
  const [once] = seconds.get('auto')!;
  const close = methods.filter(([name]) => seconds.get(name)![0]! < Math.min(short, far * once!));
  for (let round = 1; round < roundsOf(once!) && close.length > 0; round++)
    for (const [name, method] of close) {
      const { report: again } = await submit(client, problem, count, method);
      seconds.get(name)!.push(again.seconds.solving);
    }
  const ofAuto = seconds.get('auto')!;
  const behind = (others: readonly number[]) =>
    median(others.slice(0, ofAuto.length).map((other, turn) => ofAuto[turn]! / other));
  return {
    found,
    rows: [
      {
        case: `${problem}, p = ${sizeOf(problem)}, K = ${count}, to ${tolerance}`,
        metric: 'seconds of auto ÷ best by hand',
        value: Math.max(...names.map((name) => behind(seconds.get(name)!))),
        goal: 1.2,
        better: 'lower',
      },
    ],
  };
}

/** CPU seconds of a CG iteration for products that cost nothing: H = diag(1…2). */
async function recursionSeconds(size: number, count: number, block: boolean): Promise<number> {
  const iterations = 10;
  let free = 0;
  const operator = {
    size,
    multiply: (vectors: Float64Array) => {
      const began = clocks.cpu();
      const product = vectors.map((value, i) => value * (1 + (i % size) / size));
      free += clocks.cpu() - began;
      return Promise.resolve(product);
    },
  };
  const vectors = Float64Array.from(normals(count * size, 3));
  const options = { damping: 0.01, tolerance: 1e-300, iterations, verify: false, block };
  let least = Infinity;
  for (let run = 0; run < 3; run += 1) {
    free = 0;
    const began = clocks.cpu();
    await conjugateGradient(operator, vectors, options);
    least = Math.min(least, (clocks.cpu() - began - free) / iterations);
  }
  return least;
}

const local = await startLocalFarm({ workers: 2, threads: 1, engine: 'wasm', say: () => {} });
const rows: BenchRow[] = [];
try {
  const { client } = local;
  await importRows(client, 'digits', first(await readMnist('test'), 4000));
  for (const [name, each] of Object.entries(models))
    await (await client.models()).put({ ...each, name }, normals(parameterLayout(each).count, 1, 0.05), true);

  line(['problem', 'method', 'to', 'K', 'passes', 'seconds', 'status', 'true residual']);
  const all = Object.keys(byHand) as (keyof typeof byHand)[];
  // The factors of 785 inputs take the coordinator longer than all products for ten right-hand sides.
  const iterative = (count: number) =>
    all.filter((name) => name !== 'direct' && (count === 1 || name !== 'cg, kfac'));
  for (const tolerance of [1e-3, 1e-6]) {
    for (const count of [1, 10, 100])
      rows.push(...(await compare(client, 'pooled', count, tolerance, all)).rows);
    for (const count of [1, 10])
      rows.push(...(await compare(client, 'softmax', count, tolerance, iterative(count))).rows);
  }
  for (const count of [1, 10])
    for (const [name, method] of others) await solve(client, 'pooled', name, count, method);

  const one = await solve(client, 'softmax', 'cg', 1, { ...byHand.cg, tolerance: 1e-6 });
  const { found, rows: hundred } = await compare(client, 'softmax', 100, 1e-3, [
    'cg',
    'block cg',
    'cg, kfac',
  ]);
  const [many, block] = [found.get('cg')!, found.get('block cg')!];
  const perVector = ({ seconds, products }: Report) => seconds.solving / products;
  rows.push(
    ...hundred,
    {
      case: 'softmax regression, cg',
      metric: 'product a vector, K = 100 ÷ K = 1',
      value: perVector(many) / perVector(one),
      goal: 0.75,
      better: 'lower',
    },
    {
      case: 'softmax regression, K = 100, to 1e-3',
      metric: 'passes, block cg ÷ cg',
      value: block.products / many.products,
      goal: 1,
      better: 'lower',
    },
  );

  const iterations = 10;
  const size = sizeOf('mlp');
  for (const [name, blocked] of Object.entries({ cg: false, 'block cg': true })) {
    const limited = { ...byHand.cg, block: blocked, tolerance: 1e-12, maxIterations: iterations };
    const mlp = await solve(client, 'mlp', name, 10, limited);
    rows.push({
      case: `MLP 784-250-10, p = ${size}, K = 10, ${name}`,
      metric: 'recursion ÷ solve, an iteration',
      value: ((await recursionSeconds(size, 10, blocked)) * (iterations + 1)) / mlp.seconds.solving,
      goal: 0.05,
      better: 'lower',
    });
  }
} finally {
  await local.stop();
}
report(rows);
