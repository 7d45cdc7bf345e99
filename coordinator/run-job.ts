import { setMaxListeners } from 'node:events';
import { cpus } from 'node:os';
import { nuid } from '@nats-io/nats-core';
import { totalWeight } from '../protocol/dataset.js';
import { networkDigest } from '../protocol/digest.js';
import { CancelledError, NotFiniteError } from '../protocol/errors.js';
import type { Job, Progress, Report } from '../protocol/jobs.js';
import { l2Diagonal, networkOf } from '../protocol/model.js';
import type { Request } from '../protocol/requests.js';
import { version } from '../protocol/version.js';
import { ConvergenceCurve } from './convergence.js';
import { DistributedOperator } from './distributed-operator.js';
import type { Farm } from './farm.js';
import { prepare, type Prepared } from './prepare.js';
import { ProgressReporter } from './progress.js';
import type { Context, Outcome } from './requests/context.js';
import { fit } from './requests/fit.js';
import { gradient } from './requests/gradient.js';
import { hvp } from './requests/hvp.js';
import { solve } from './requests/solve.js';
import { spectrum } from './requests/spectrum.js';
import { norm } from './solvers/vectors.js';
import type { Stores } from './stores.js';

/** Entries of the residual history that a report keeps, give or take one. */
const historyLength = 10_000;

export interface JobRun {
  job: Job;
  farm: Farm;
  stores: Stores;
  signal: AbortSignal;
  publish: (progress: Progress) => void;
  /** The operator's id, for heartbeats, while it is open. */
  onOperator: (operator: string | undefined) => void;
}

/** Runs one job from its request to its outcome: look up, load, solve, report. */
export async function runJob(run: JobRun): Promise<{ report: Report; vectors: Outcome['vectors'] }> {
  const { job, farm, stores } = run;
  const began = performance.now();
  const prepared = await prepare(job.request, stores);
  const parameters = await stores.models.parameters(prepared.model);
  const reporter = new ProgressReporter(job.id, run.publish, Date.now());
  const operatorId = `${job.id}-${nuid.next()}`;
  // What is under way when the job ends, perhaps by one failure of many, ends with it.
  const ending = new AbortController();
  const signal = AbortSignal.any([run.signal, ending.signal]);
  setMaxListeners(0, signal);
  const operator = openOperator({ ...run, signal }, prepared, operatorId);
  run.onOperator(operatorId);
  try {
    const stage = (name: string) => reporter.stage(name, farm.workers().length, Date.now());
    stage('loading data');
    const start = await operator.moveTo(parameters);
    if (!Number.isFinite(start.value + norm(start.gradient)))
      throw new NotFiniteError(
        `the loss of model "${prepared.model.name}" on dataset "${prepared.manifest.name}", or its gradient, is not finite`,
        {
          hint: 'its parameters have diverged, or the features are too large: scale them, or train the model again',
        },
      );
    const loaded = performance.now();
    const curve = new ConvergenceCurve();
    const outcome = await handle(job.request, {
      job: job.id,
      prepared,
      farm,
      stores,
      operator,
      start,
      parameters,
      signal,
      stage,
      progress: (progress) => {
        reporter.update(progress, farm.workers().length, Date.now());
        curve.add(progress.iteration, progress.products, progress.residual);
      },
    });
    reporter.flush();
    const seconds = {
      total: (performance.now() - began) / 1000,
      loading: (loaded - began) / 1000,
      solving: (performance.now() - loaded) / 1000,
    };
    const { vectors } = outcome;
    return { report: report(job, prepared, operator, start, outcome, seconds, curve), vectors };
  } finally {
    ending.abort(new CancelledError(`job ${job.id} has ended`));
    operator.close();
    run.onOperator(undefined);
  }
}

function openOperator(
  { job, farm, signal }: JobRun,
  prepared: Prepared,
  operator: string,
): DistributedOperator {
  const { model, manifest, dataset, leafRows, leaves } = prepared;
  const { curvature, hvp } = job.request;
  const network = networkOf(model);
  return new DistributedOperator(
    farm,
    { operator, network, dataset, leafRows, curvature, hvp },
    { parameters: model.parameters.count, weight: totalWeight(manifest), leaves, l2: l2Diagonal(network) },
    signal,
  );
}

async function handle(request: Request, context: Context): Promise<Outcome> {
  switch (request.type) {
    case 'hvp':
      return hvp(request, context);
    case 'gradient':
      return gradient(context);
    case 'solve':
      return solve(request, context);
    case 'fit':
      return fit(request, context);
    case 'spectrum':
      return spectrum(request, context);
  }
}

function report(
  job: Job,
  { model, manifest, dataset, rhsDataset, leafRows, leaves }: Prepared,
  operator: DistributedOperator,
  start: Context['start'],
  outcome: Outcome,
  seconds: Report['seconds'],
  curve: ConvergenceCurve,
): Report {
  const workers = [...operator.stats].map(([id, stats]) => ({ id, ...stats }));
  const engines = new Set(workers.map(({ engine }) => engine));
  return {
    format: 'ihvp-report',
    version: 1,
    job: job.id,
    request: job.request,
    status: outcome.status,
    advice: outcome.advice,
    model: {
      ...{ name: model.name, parameters: model.parameters.count, sha256: model.parameters.sha256 },
      network: networkDigest(model),
    },
    dataset: { ...dataset, rows: manifest.rows, leaves, leafRows },
    ...(rhsDataset && { rhsDataset }),
    loss: start.value,
    gradientNorm: norm(start.gradient),
    ...outcome.report,
    ...thinned(outcome.report.residualHistory),
    ...convergence(job.request, outcome, curve, operator.products),
    products: operator.products,
    seconds,
    ...(operator.products > 0 && { productsPerSecond: operator.products / seconds.solving }),
    workers,
    warnings: [
      ...(outcome.warnings ?? []),
      ...(engines.size > 1
        ? [`several engines took part (${[...engines].join(', ')}): the last bits may differ in another run`]
        : []),
    ],
    versions: { ihvp: version, node: process.version, cpu: cpus()[0]?.model ?? 'unknown' },
  };
}

/** A solve's curve ends with its true residual, but for methods that have no residual on the way. */
function convergence(
  request: Request,
  { report: { columns = [] } }: Outcome,
  curve: ConvergenceCurve,
  products: number,
): Partial<Report> {
  if (request.type !== 'solve' && request.type !== 'fit') return {};
  const residual = Math.max(...columns.map(({ trueResidual }) => trueResidual ?? NaN));
  const told = request.type === 'solve' && request.method.name !== 'lissa';
  return { convergence: curve.end(told ? { products, residual } : undefined) };
}

/** The history, of bounded length and in numbers that JSON has: a report has to fit a message. */
function thinned(history: number[] | undefined): Partial<Report> {
  if (!history) return {};
  const stride = Math.ceil(history.length / historyLength);
  return {
    residualHistory: history
      .filter((_, i) => i % stride === 0 || i === history.length - 1)
      .map((value) => (Number.isFinite(value) ? value : Number.MAX_VALUE)),
  };
}
