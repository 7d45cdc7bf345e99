import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { ensureBroker } from '../broker/ensure.js';
import { engineOption } from '../engine-option.js';
import { startLocalFarm } from '../farm.js';
import { command, parseBytes, parseCount, parseInteger, type FarmOptions } from '../options.js';
import { askedToStop } from '../stop-signals.js';
import { run } from '../terminal/fail.js';
import { print } from '../terminal/output.js';

const say = (line: string) => process.stderr.write(`${line}\n`);
const pluginHelp = 'a JavaScript module with loss functions of your own (repeatable)';
const collect = (value: string, before: string[]) => [...before, value];

interface WorkerCommandOptions extends FarmOptions {
  engine: string;
  threads: number;
  cacheBytes?: number;
  files: string[];
  plugin: string[];
  gpu?: number;
  tf32?: boolean;
}

/**
 * The commands that start processes of a farm. What a process is made of is loaded once it is asked for: every command
 * of `ihvp` would wait for it otherwise.
 */
export function addProcessCommands(program: Command): void {
  command(
    program,
    'coordinator',
    'take jobs and share them among workers',
    'ihvp coordinator --nats nats://HOST:4222',
  ).action(
    run(async (options: FarmOptions) => {
      const { startCoordinator } = await import('../../coordinator/start.js');
      const coordinator = await startCoordinator({ url: options.nats, prefix: options.prefix, say });
      // Whoever reads that it is ready may end it at once.
      const asked = askedToStop();
      say(`coordinator ${coordinator.id} is ready`);
      say(`stops on ${await asked}`);
      await coordinator.stop();
    }),
  );

  command(
    program,
    'worker',
    'multiply by the Hessian of a share of the data',
    'ihvp worker --nats nats://HOST:4222 --engine wasm',
  )
    .addOption(engineOption())
    .option('--threads <n>', 'arithmetic threads, one a core at most', parseCount, availableParallelism())
    .option('--cache-bytes <size>', 'memory for shards and linearizations (default: 2 GiB)', parseBytes)
    .option('--files <folder>', 'a folder that file:// datasets may be read from (repeatable)', collect, [])
    .option('--plugin <file>', pluginHelp, collect, [])
    .option('--dump-graph <folder>', 'write the ONNX graphs that it computes with (--engine onnx)')
    .option('--gpu <n>', 'the GPU of this process, of several (default: 0)', parseInteger)
    .option('--tf32', 'let tensorflow-gpu round the factors of products to 10 bits')
    .action(
      run(async (options: WorkerCommandOptions & { dumpGraph?: string }) => {
        const { nats: url, plugin: plugins, dumpGraph: dumpGraphs, ...others } = options;
        const { startWorker } = await import('../../worker/start.js');
        const worker = await startWorker({ ...others, url, plugins, dumpGraphs, say });
        const asked = askedToStop();
        say(`worker ${worker.id} is ready`);
        say(`finishes what it has, then stops, on ${await asked}`);
        await worker.stop();
      }),
    );

  command(
    program,
    'up',
    'start a private broker, a coordinator and workers on this machine',
    'ihvp up --workers 2',
  )
    .option('--workers <n>', 'worker processes', parseInteger, availableParallelism())
    .option('--threads <n>', 'threads of each worker', parseCount, 1)
    .addOption(engineOption())
    .option('--files <folder>', 'a folder that file:// datasets may be read from (repeatable)', collect, [])
    .option('--plugin <file>', pluginHelp, collect, [])
    .option('--data-dir <folder>', 'keep datasets, models and results here (default: gone at the end)')
    .action(
      run(async (options: WorkerCommandOptions & { workers: number; dataDir?: string }) => {
        const farm = await startLocalFarm({ ...options, plugins: options.plugin, say });
        const document = { url: farm.url, workers: options.workers };
        print(options, document, () =>
          [
            '',
            'The farm is ready. In another terminal:',
            `  export IHVP_NATS_URL=${farm.url}`,
            '  ihvp dataset import mnist',
            `  nats --server $IHVP_NATS_URL sub '${options.prefix}.v1.>'     # watch everything`,
            'Ctrl-C ends it.',
          ].join('\n'),
        );
        const ended = Promise.all([farm.coordinator.exited, ...farm.workers.map(({ exited }) => exited)]);
        await Promise.race([askedToStop(), ended]);
        await farm.stop();
      }),
    );

  const broker = program.command('broker').description('see to a NATS server on this machine');
  command(
    broker,
    'ensure',
    'find nats-server, or install it with the package manager',
    'ihvp broker ensure',
  ).action(
    run(async (options: FarmOptions) => {
      const found = await ensureBroker({ say });
      print(options, found, () =>
        'url' in found ? `uses the server at ${new URL(found.url).host}` : `uses ${found.binary}`,
      );
    }),
  );
}
