import { UnknownJobError } from '../protocol/errors.js';
import { reportSchema, type Job, type Report, type StoredFile } from '../protocol/jobs.js';
import type { Objects } from '../protocol/objects.js';
import { parseJson } from '../protocol/parse.js';
import { encodeVectors } from '../protocol/vectors.js';
import type { Outcome } from './requests/context.js';

const reportFile = 'report.json';

/** Stores a job's vectors (Arrow, float64) and then its report: a result is there once its report is. */
export async function storeResult(
  results: Objects,
  report: Report,
  vectors: Outcome['vectors'],
): Promise<void> {
  if (vectors) {
    const { file, values, count } = vectors;
    await results.put(`${report.job}/${file}`, encodeVectors(values, count, values.length / count));
  }
  await results.put(`${report.job}/${reportFile}`, Buffer.from(JSON.stringify(report, null, 2)));
}

/** @throws UnknownJobError where the job has no result (yet) */
export async function loadResult(
  results: Objects,
  job: Job,
): Promise<{ job: Job; report: Report; files: StoredFile[] }> {
  const bytes = await results.get(`${job.id}/${reportFile}`);
  if (!bytes)
    throw new UnknownJobError(
      `job ${job.id} has no result: it is ${job.state}${job.error ? `, ${job.error.message}` : ''}`,
      {
        hint: `\`ihvp watch ${job.id}\` shows how it goes`,
        details: { job: job.id, state: job.state },
      },
    );
  const report = parseJson(reportSchema, bytes, `the report of job ${job.id}`);
  return { job, report, files: await results.files(`${job.id}/`) };
}
