import { resolve } from 'node:path';
import type { Command } from 'commander';
import { readMnist } from '../../datasets/read-mnist.js';
import type { Client, Result } from '../../protocol/client.js';
import type { RequestInput } from '../../protocol/requests.js';
import { zeroParameters } from '../../worker/models/initialise.js';
import { startLocalFarm } from '../farm.js';
import { followJob, saveResult } from '../follow-job.js';
import { command, parseCount, type FarmOptions } from '../options.js';
import { run } from '../terminal/fail.js';
import { formatDuration, formatNumber } from '../terminal/format.js';
import { print, table } from '../terminal/output.js';
import { importOne } from './dataset.js';

interface DemoOptions extends FarmOptions {
  workers: number;
  engine: string;
  out: string;
}

/** Test digits whose influence the demo prepares: rows of the MNIST test set. */
const testRows = [0, 1, 2, 3, 4, 5, 6, 7];
const l2 = 0.01;
/** Added to l2 in both solves, as influence functions usually are damped. */
const damping = 0.01;

export function addDemoCommand(program: Command): void {
  command(
    program,
    'demo',
    'MNIST from data to (H + λI)⁻¹ v on a private farm, in under two minutes',
    'ihvp demo',
  )
    .option('--workers <n>', 'worker processes, one thread each', parseCount, 2)
    .option('--engine <name>', 'auto, tensorflow, wasm or cpu', 'auto')
    .option('--out <folder>', 'where the result files go', '.ihvp/demo')
    .action(run(demo));
}

async function demo(options: DemoOptions): Promise<void> {
  const { workers, engine, prefix } = options;
  const json = options.json ?? false;
  const say = (line: string) => void (json || process.stderr.write(`${line}\n`));
  const began = performance.now();
  say(`starting a NATS server, a coordinator and ${workers} workers …`);
  const farm = await startLocalFarm({ workers, threads: 1, engine, prefix, say: (line) => say(`  ${line}`) });
  try {
    const { client } = farm;
    for (const split of ['train', 'test'] as const) {
      const source = await readMnist(split);
      await importOne(client, `mnist-${split}`, source, { seed: 0, store: 'nats', json, replace: true });
    }
    const network = {
      input: { shape: [784] },
      layers: [{ type: 'dense' as const, units: 10, useBias: true, activation: 'linear' as const }],
      loss: 'softmaxCrossEntropy' as const,
      l2,
    };
    await (await client.models()).put({ ...network, name: 'softmax' }, zeroParameters(network), true);

    const problem = { model: 'softmax', dataset: 'mnist-train' };
    const rhs = { kind: 'gradient' as const, dataset: 'mnist-test', rows: testRows };
    const submit = async (title: string, request: RequestInput) => {
      say(title);
      return followJob(client, (await client.submit(request)).id, json);
    };
    const fit = await submit('training softmax regression (p = 7,850) on 60,000 rows by Newton-CG', {
      type: 'fit',
      ...problem,
      into: 'softmax',
    });
    const cg = await submit(
      `(H + λI)⁻¹ v for the gradients of ${testRows.length} test digits, by conjugate gradients`,
      {
        type: 'solve',
        ...problem,
        rhs,
        damping,
        method: { name: 'cg', tolerance: 1e-5 },
      },
    );
    const lissa = await submit('the same by stochastic estimation (LiSSA)', {
      type: 'solve',
      ...problem,
      rhs,
      damping,
      method: { name: 'lissa', scale: 20, batchSize: 256, depth: 15, samples: 2 },
    });

    const agreement = await compare(client, cg, lissa);
    const out = resolve(options.out);
    const saved = [
      ...(await saveResult(client, cg, `${out}/cg`)),
      ...(await saveResult(client, lissa, `${out}/lissa`)),
    ];
    const seconds = (performance.now() - began) / 1000;
    const document = {
      seconds,
      fit: fit.report,
      cg: cg.report,
      lissa: lissa.report,
      agreement,
      files: saved,
    };
    print(options, document, () => text(fit, cg, lissa, agreement, saved, seconds));
  } finally {
    await farm.stop();
  }
}

interface Agreement {
  row: number;
  /** ‖s_cg − s_lissa‖ / ‖s_cg‖ */
  difference: number;
  cosine: number;
}

async function compare(client: Client, cg: Result, lissa: Result): Promise<Agreement[]> {
  const [a, b] = await Promise.all(
    [cg, lissa].map(async ({ job }) => (await client.vectors(job.id, 'solution.arrow')).values),
  );
  const size = a!.length / testRows.length;
  return testRows.map((row, k) => {
    let [aa, bb, ab] = [0, 0, 0];
    for (let i = k * size; i < (k + 1) * size; i++) {
      aa += a![i]! * a![i]!;
      bb += b![i]! * b![i]!;
      ab += a![i]! * b![i]!;
    }
    return {
      row,
      difference: Math.sqrt(Math.max(0, aa - 2 * ab + bb) / aa),
      cosine: ab / Math.sqrt(aa * bb),
    };
  });
}

function text(
  fit: Result,
  cg: Result,
  lissa: Result,
  agreement: Agreement[],
  saved: string[],
  seconds: number,
): string {
  const { report } = fit;
  const residual = ({ report: { columns } }: Result, k: number) =>
    formatNumber(columns![k]!.trueResidual!, 3);
  const rates = [cg, lissa].flatMap(
    ({ report: { request, workers, productsPerSecond, seconds: took, products } }) => [
      `  ${request.type === 'solve' ? request.method.name : request.type}: ${formatNumber(products, 3)} products in ${formatDuration(took.solving)}, ${formatNumber(productsPerSecond ?? 0, 3)} products/s`,
      ...workers.map(
        ({ id, engine, products: own, busySeconds }) =>
          `    worker ${id.slice(-8)} (${engine}): ${formatNumber(own, 3)} products, ${formatNumber(own / busySeconds, 3)} products/s while busy`,
      ),
    ],
  );
  return [
    '',
    `fit: ${report.status}, objective ${formatNumber(report.loss!, 6)}, ‖∇‖ = ${formatNumber(report.gradientNorm!, 3)} after ${report.iterations} Newton iterations`,
    `cg: ${cg.report.status}; lissa: ${lissa.report.status}`,
    '',
    table(
      [
        { title: 'test row', align: 'right' },
        { title: 'true residual, cg', align: 'right' },
        { title: 'true residual, lissa', align: 'right' },
        { title: '‖cg − lissa‖/‖cg‖', align: 'right' },
        { title: 'cosine', align: 'right' },
      ],
      agreement.map(({ row, difference, cosine }, k) => [
        String(row),
        residual(cg, k),
        residual(lissa, k),
        formatNumber(difference, 3),
        cosine.toFixed(6),
      ]),
    ),
    '',
    ...rates,
    '',
    'result files:',
    ...saved.map((path) => `  ${path}`),
    '',
    `all of it in ${formatDuration(seconds)}`,
  ].join('\n');
}
