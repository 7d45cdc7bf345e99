import { monitorEventLoopDelay } from 'node:perf_hooks';
import { startLocalFarm, type LocalFarm } from '../cli/farm.js';
import type { Report } from '../protocol/jobs.js';
import type { RequestInput } from '../protocol/requests.js';
import { zeroParameters } from '../worker/models/initialise.js';
import { startWorker } from '../worker/start.js';
import { importMnist } from './farm.js';
import { median } from './measure.js';
import { networks } from './networks.js';
import type { BenchRow } from './table.js';

const network = { ...networks.softmax, l2: 0.01 };
const title = 'CG solve, softmax regression, p = 7,850, 60,000 rows of MNIST, 8 right-hand sides';
const request: RequestInput = {
  type: 'solve',
  model: 'softmax',
  dataset: 'mnist-train',
  rhs: { kind: 'gradient', dataset: 'mnist-train', rows: [0, 1, 2, 3, 4, 5, 6, 7] },
  damping: 0.01,
  method: { name: 'cg', tolerance: 1e-5 },
};

const rounds = 5;

/** The whole CG solve on two cores, with onnx and with wasm in turns; and what the NATS thread of an onnx worker waits. */
export async function benchSolve(): Promise<BenchRow[]> {
  const ratios = await withFarm({ workers: 2, engine: 'onnx' }, (onnx) =>
    withFarm({ workers: 2, engine: 'wasm' }, async (wasm) => {
      // The shards come to the workers.
      for (const farm of [onnx, wasm]) await solve(farm);
      const found: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const seconds = [await told('onnx', onnx), await told('wasm', wasm)] as const;
        found.push(seconds[1] / seconds[0]);
      }
      return found;
    }),
  );
  return [
    {
      case: title,
      metric: 'seconds of solving, wasm ÷ onnx',
      value: median(ratios),
      goal: 2.2,
      better: 'higher',
    },
    {
      case: title,
      metric: 'onnx, a thread for each core: event-loop delay of the NATS thread, p99 in ms',
      value: await delay(),
      goal: 20,
      better: 'lower',
    },
  ];
}

/** Seconds of solving. */
async function told(engine: string, farm: LocalFarm): Promise<number> {
  const { seconds, workers } = await solve(farm);
  const busy = Math.max(...workers.map(({ busySeconds }) => busySeconds));
  process.stderr.write(
    `${title}: ${engine} ${seconds.solving.toFixed(1)} s, of these ${busy.toFixed(1)} s in the busiest worker's threads\n`,
  );
  return seconds.solving;
}

/** A worker in this process, whose main thread has the connection. */
const delay = () =>
  withFarm({ workers: 0, engine: 'onnx' }, async (farm) => {
    const worker = await startWorker({ url: farm.url, engine: 'onnx' });
    try {
      await solve(farm);
      const histogram = monitorEventLoopDelay({ resolution: 1 });
      histogram.enable();
      await solve(farm);
      histogram.disable();
      return histogram.percentile(99) / 1e6;
    } finally {
      await worker.stop();
    }
  });

async function solve({ client }: LocalFarm): Promise<Report> {
  const { id } = await client.submit(request);
  return (await client.wait(id)).report;
}

async function withFarm<T>(
  options: { workers: number; engine: string },
  work: (farm: LocalFarm) => Promise<T>,
): Promise<T> {
  process.stderr.write(`${title}: ${options.engine} …\n`);
  const farm = await startLocalFarm({ ...options, threads: 1, say: () => {} });
  try {
    await importMnist(farm.client);
    await (await farm.client.models()).put({ ...network, name: 'softmax' }, zeroParameters(network), true);
    return await work(farm);
  } finally {
    await farm.stop();
  }
}
