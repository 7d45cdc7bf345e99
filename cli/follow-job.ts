import { writeFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Client, Result } from '../protocol/client.js';
import { BadFileError } from '../protocol/errors.js';
import type { Progress, Report } from '../protocol/jobs.js';
import { spectrumText } from './spectrum-text.js';
import { formatDuration, formatNumber } from './terminal/format.js';
import { startProgress, type Progress as Bar } from './terminal/progress.js';

/**
 * Shows a job's stages as bars on standard error until it is finished. Ctrl-C ends the watching, not the job.
 * @throws the job's own error
 */
export async function followJob(client: Client, id: string, json: boolean): Promise<Result> {
  let bar: Bar | undefined;
  let stage = '';
  const onProgress = (progress: Progress) => {
    if (progress.stage !== stage) {
      bar?.update(100);
      bar?.stop();
      stage = progress.stage;
      bar = startProgress({ label: stage, total: 100, json });
    }
    bar?.update(Math.floor(100 * (progress.fraction ?? 0)), progressNote(progress));
  };
  const leave = () => {
    bar?.stop();
    process.stderr.write(`\njob ${id} goes on: ihvp watch ${id}, ihvp result ${id}, ihvp cancel ${id}\n`);
    process.exit(130);
  };
  process.once('SIGINT', leave);
  try {
    const result = await client.wait(id, {
      onProgress,
      onState: (job) => {
        if (!json && (job.state === 'queued' || job.state === 'waiting'))
          process.stderr.write(`job ${id}: ${job.message}\n`);
      },
    });
    bar?.update(100);
    return result;
  } finally {
    process.removeListener('SIGINT', leave);
    bar?.stop();
  }
}

/** `iteration 12, residual 1.2e-3, 41.2 products/s, 2 workers, 3.2 s left` */
export function progressNote({
  iteration,
  residual,
  productsPerSecond,
  workers,
  etaSeconds,
}: Progress): string {
  return [
    ...(iteration === 0 ? [] : [`iteration ${iteration}`]),
    ...(residual === undefined ? [] : [`residual ${formatNumber(residual, 3)}`]),
    ...(productsPerSecond === undefined ? [] : [`${formatNumber(productsPerSecond, 3)} products/s`]),
    `${workers} worker${workers === 1 ? '' : 's'}`,
    ...(etaSeconds === undefined ? [] : [`${formatDuration(etaSeconds)} left`]),
  ].join(', ');
}

/** What a report says, for people. */
export function reportText({ job, report, files }: Result, saved: string[]): string {
  const lines = [
    `${report.request.type} ${job.id}: ${report.status}`,
    `  ${report.advice}`,
    ...(report.request.curvature === 'hessian' ? [] : [`  H is the ${report.request.curvature} matrix`]),
    `  model ${report.model.name} (p = ${formatNumber(report.model.parameters)}), dataset ${report.dataset.name} (n = ${formatNumber(report.dataset.rows)})`,
  ];
  if (report.loss !== undefined)
    lines.push(
      `  objective ${formatNumber(report.loss, 6)}, ‖∇‖ ${formatNumber(report.gradientNorm ?? NaN, 3)}`,
    );
  const residuals = report.columns?.map(({ trueResidual }) => trueResidual ?? NaN) ?? [];
  if (residuals.length > 0)
    lines.push(
      `  true residual ‖v − (H + λI)s‖/‖v‖: ${formatNumber(Math.max(...residuals), 3)}` +
        (residuals.length > 1 ? ` at worst of ${residuals.length} right-hand sides` : '') +
        (report.damping === undefined ? '' : `, λ = ${formatNumber(report.damping)}`),
    );
  if (report.spectrum) lines.push(...spectrumText(report.spectrum));
  lines.push(`  ${costs(report)}`);
  for (const { id, engine, threads, products, busySeconds } of report.workers)
    lines.push(
      `  worker ${id.slice(-8)}: ${engine}, ${threads} thread(s), ${formatNumber(products, 3)} products, busy ${formatDuration(busySeconds)}`,
    );
  const checks = report.workers.flatMap(({ selfCheck }) => selfCheck ?? []);
  if (checks.length > 0)
    lines.push(
      `  self-check: products agree with differences to ${formatNumber(Math.max(...checks.map(({ differences }) => differences)), 2)}` +
        ` and are symmetric to ${formatNumber(Math.max(...checks.map(({ symmetry }) => symmetry)), 2)}, relative`,
    );
  for (const warning of report.warnings) lines.push(`  warning: ${warning}`);
  for (const { name } of files) lines.push(`  result file: ${name} (in the farm's object store)`);
  for (const path of saved) lines.push(`  saved: ${path}`);
  return lines.join('\n');
}

function costs({ iterations, products, seconds, productsPerSecond }: Report): string {
  return [
    ...(iterations === undefined ? [] : [`${formatNumber(iterations)} iterations`]),
    `${formatNumber(products, 3)} products`,
    `${formatDuration(seconds.total)} (${formatDuration(seconds.loading)} loading)`,
    ...(productsPerSecond === undefined ? [] : [`${formatNumber(productsPerSecond, 3)} products/s`]),
  ].join(', ');
}

/** @throws BadFileError */
export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new BadFileError(`the folder ${folder} cannot be made: ${(cause as Error).message}`, {
      hint: 'choose another one with --out',
      cause,
    });
  });
}

/** Writes the files of a result into a folder and returns their paths. */
export async function saveResult(client: Client, { job, files }: Result, folder: string): Promise<string[]> {
  await makeFolder(folder);
  return Promise.all(
    files.map(async ({ name }) => {
      const file = name.slice(job.id.length + 1);
      const path = join(folder, file);
      await writeFile(path, (await client.file(job.id, file))!);
      return path;
    }),
  );
}
