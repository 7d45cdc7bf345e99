import '../support/native-settings.js';
import { Command, Option } from 'commander';
import { print, table } from '../../cli/terminal/output.js';
import { startProgress } from '../../cli/terminal/progress.js';
import { engineNames } from '../../worker/engines/names.js';
import { openEngine } from '../../worker/engines/select.js';
import { testedEngines } from '../support/tested-engines.js';
import { isExceeded, measurements, type Row } from './measure.js';

interface Options {
  engine?: string[];
  json?: boolean;
}

const { engine: named, json = false } = new Command('npm run verify --')
  .description(
    'The largest errors of every layer, loss, product and plugin kernel against float64, engine by engine.\n' +
      'Ends with 1 if one is past its tolerance, or an engine that is named does not start.',
  )
  .addOption(
    new Option(
      '--engine <names...>',
      'which engines; without it all that start, but for onnx-webgpu',
    ).choices(engineNames),
  )
  .option('--json', 'print one JSON document')
  .parse()
  .opts<Options>();

const rows: Row[] = [];
const versions: Record<string, string> = {};
const missing: string[] = [];
for (const name of named ?? testedEngines) {
  const opened = await openEngine(name).catch((error: Error) => error);
  if (opened instanceof Error) {
    process.stderr.write(`${name}: ${opened.message}\n`);
    if (named) missing.push(name);
    continue;
  }
  versions[name] = opened.engine.version;
  const asked = measurements(name);
  const progress = startProgress({ label: name, total: asked.length, json });
  try {
    for (const [index, { title, measure }] of asked.entries()) {
      progress.update(index, title);
      rows.push(...(await measure(opened.engine)));
    }
    progress.update(asked.length, '');
  } finally {
    progress.stop();
  }
}

const exceeded = rows.filter(isExceeded);
const passed = rows.length > 0 && exceeded.length === 0 && missing.length === 0;
print({ json }, { passed, engines: versions, rows }, () =>
  [
    rowsTable(rows),
    rowsTable(summary(rows)),
    `${rows.length} rows, ${exceeded.length} past their tolerance`,
  ].join('\n\n'),
);
// A WebGPU device keeps the process alive.
process.stdout.write('', () => process.exit(passed ? 0 : 1));

function rowsTable(shown: readonly Row[]): string {
  const figure = (value?: number) => (value === undefined ? '' : value.toExponential(1));
  return table(
    [
      { title: 'engine' },
      { title: '' },
      { title: 'largest error of' },
      { title: 'gradient', align: 'right' },
      { title: 'hessian', align: 'right' },
      { title: 'gauss-newton', align: 'right' },
      { title: 'tolerance', align: 'right' },
      { title: '' },
    ],
    shown.map((row) => [
      row.engine,
      row.kind,
      row.name,
      ...[row.gradient, row.hessian, row.gaussNewton, row.tolerance].map(figure),
      isExceeded(row) ? '✗' : '✓',
    ]),
  );
}

/** One row for each engine and kind: the largest of all its rows. */
function summary(shown: readonly Row[]): Row[] {
  const groups = new Map<string, Row[]>();
  for (const row of shown) {
    const key = `${row.engine} ${row.kind}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()].map((group) => {
    const summed: Row = { ...group[0]!, name: `all ${group.length}` };
    for (const figure of ['gradient', 'hessian', 'gaussNewton'] as const)
      for (const { [figure]: error } of group)
        if (error !== undefined) summed[figure] = Math.max(summed[figure] ?? 0, error);
    return summed;
  });
}
