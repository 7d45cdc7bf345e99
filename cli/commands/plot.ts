import type { Command } from 'commander';
import type { TopLevelSpec } from 'vega-lite';
import { BadRequestError } from '../../protocol/errors.js';
import type { Report } from '../../protocol/jobs.js';
import { curvesFigure, measureOf } from '../figures/curves.js';
import { spectrumFigure } from '../figures/density.js';
import { saveFigure } from '../figures/render.js';
import { command, withClient, type FarmOptions } from '../options.js';
import { run } from '../terminal/fail.js';
import { formatNumber } from '../terminal/format.js';
import { print } from '../terminal/output.js';

export function addPlotCommand(program: Command): void {
  command(
    program,
    'plot <job>',
    "draw a finished job: a solve's residual, a fit's gradient norm, a spectrum's density",
    'ihvp plot JOB --out residual.png',
  )
    .option('--out <file>', 'an .svg or .png file (default: JOB.svg)')
    .action(
      run(async (id: string, options: FarmOptions & { out?: string }) => {
        await withClient(options, async (client) => {
          const { report } = await client.result(id);
          const path = options.out ?? `${id}.svg`;
          await saveFigure(figureOf(report), path);
          print(options, { job: id, saved: path }, () => `saved: ${path}`);
        });
      }),
    );
}

/** @throws BadRequestError where a job has nothing to draw */
export function figureOf(report: Report): TopLevelSpec {
  const { request, model, dataset, convergence, spectrum } = report;
  const subtitle = `${model.name} (p = ${formatNumber(model.parameters)}) on ${dataset.name} (n = ${formatNumber(dataset.rows)}): ${report.status}`;
  if (spectrum?.density ?? spectrum?.largest ?? spectrum?.smallest)
    return spectrumFigure(spectrum, { title: 'Spectrum of H', subtitle });
  if (convergence === undefined || convergence.length === 0)
    throw new BadRequestError(`a ${request.type} job has no curve to draw`, {
      hint: 'draw a solve, a fit, or a spectrum with --density or eigenvalues',
    });
  const name = request.type === 'solve' ? request.method.name : request.type;
  return curvesFigure([{ name, points: convergence }], {
    title: name,
    subtitle,
    measure: measureOf(report),
  });
}
