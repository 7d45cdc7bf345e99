import type { Command } from 'commander';
import type { Job } from '../../protocol/jobs.js';
import { followJob, reportText, saveResult } from '../follow-job.js';
import { command, parseCount, withClient, type FarmOptions } from '../options.js';
import { run } from '../terminal/fail.js';
import { formatDuration } from '../terminal/format.js';
import { print, table } from '../terminal/output.js';

export function addJobCommands(program: Command): void {
  command(program, 'jobs', 'the jobs of the farm, newest first', 'ihvp jobs --limit 10')
    .option('--limit <n>', 'how many', parseCount, 50)
    .action(
      run(async (options: FarmOptions & { limit: number }) => {
        await withClient(options, async (client) => {
          const jobs = await client.jobs(options.limit);
          print(options, { jobs }, () => listing(jobs));
        });
      }),
    );

  command(program, 'watch <job>', 'follow a job to its end', 'ihvp watch JOB').action(
    run(async (id: string, options: FarmOptions) => {
      await withClient(options, async (client) => {
        const result = await followJob(client, id, options.json ?? false);
        print(options, result, () => reportText(result, []));
      });
    }),
  );

  command(
    program,
    'result <job>',
    "a finished job's report, and its files with --out",
    'ihvp result JOB --out ./result',
  )
    .option('--out <folder>', 'write the result files here')
    .action(
      run(async (id: string, options: FarmOptions & { out?: string }) => {
        await withClient(options, async (client) => {
          const result = await client.result(id);
          const saved = options.out ? await saveResult(client, result, options.out) : [];
          print(options, { ...result, saved }, () => reportText(result, saved));
        });
      }),
    );

  command(program, 'cancel <job>', 'end a job that is not finished', 'ihvp cancel JOB').action(
    run(async (id: string, options: FarmOptions) => {
      await withClient(options, async (client) => {
        await client.cancel(id);
        const job = await client.watch(id);
        print(options, { job }, () => `job ${id} is ${job.state}: ${job.message}`);
      });
    }),
  );

  command(program, 'workers', 'the workers that are there', 'ihvp workers').action(
    run(async (options: FarmOptions) => {
      await withClient(options, async (client) => {
        const workers = await client.workers();
        print(options, { workers }, () =>
          workers.length === 0
            ? 'no workers: start one with `ihvp worker`'
            : table(
                [
                  { title: 'id' },
                  { title: 'host' },
                  { title: 'engine' },
                  { title: 'threads', align: 'right' },
                  { title: 'state' },
                ],
                workers.map(({ id, host, engine, threads, state }) => [
                  id,
                  host,
                  engine,
                  String(threads),
                  state,
                ]),
              ),
        );
      });
    }),
  );
}

function listing(jobs: Job[]): string {
  if (jobs.length === 0) return 'no jobs yet: ihvp solve --model MODEL --dataset DATASET --rhs ones';
  return table(
    [
      { title: 'job' },
      { title: 'request' },
      { title: 'model' },
      { title: 'dataset' },
      { title: 'state' },
      { title: 'age', align: 'right' },
      { title: '' },
    ],
    jobs.map(({ id, request, state, submitted, message }) => [
      id,
      request.type === 'solve' ? `solve ${request.method.name}` : request.type,
      request.model,
      request.dataset,
      state,
      formatDuration((Date.now() - Date.parse(submitted)) / 1000),
      message.length > 60 ? `${message.slice(0, 59)}…` : message,
    ]),
  );
}
