import { startLocalFarm } from '../cli/farm.js';
import { describePlugin } from '../cli/plugin-network.js';
import { formatNumber } from '../cli/terminal/format.js';
import { table } from '../cli/terminal/output.js';
import { fromMemory } from '../datasets/synthetic.js';
import type { Client } from '../protocol/client.js';
import { parameterLayout } from '../protocol/model.js';
import type { RequestInput } from '../protocol/requests.js';
import { dependent, families, normals, spread, turned } from '../test/support/spectra.js';
import { importRows } from './import-rows.js';
import { report, type BenchRow } from './table.js';

/*
 * Every method on Hessians of known spectrum, p = 40, through a farm of two workers: how each right-hand side ended, and
 * the residual ‖v − Hs‖/‖v‖ of its answer, computed here in float64 from the rows as the workers have them. Products are
 * float32: from a condition of about 1e5 on, the default tolerance of 1e-5 is beyond them, and a method should say so.
 */

type Method = Extract<RequestInput, { type: 'solve' }>['method'];

const methods: Record<string, Method> = {
  cg: { name: 'cg' },
  block: { name: 'cg', block: true },
  jacobi: { name: 'cg', preconditioner: 'jacobi' },
  nystrom: { name: 'cg', preconditioner: 'nystrom' },
  minres: { name: 'minres' },
  'newton-cg': { name: 'newton-cg' },
  direct: { name: 'direct' },
  lissa: { name: 'lissa' },
  arnoldi: { name: 'arnoldi', rank: 40 },
  auto: { name: 'auto' },
};
/** What `converged` promises of a residual by float32 products, whose own error is 2⁻²³·‖H‖·‖s‖/‖v‖. */
const promised: Record<string, number> = {
  ...Object.fromEntries(
    ['cg', 'block', 'jacobi', 'nystrom', 'minres', 'direct', 'auto'].map((name) => [name, 1e-5]),
  ),
  'newton-cg': 1e-3,
  lissa: 0.02,
  arnoldi: 0.01,
};
const size = 40;
const plugin = 'bench/quadratic.mjs';
const problems = [
  ...families.map(({ name, values }) => ({
    name,
    values,
    block: Float64Array.from(normals(3 * size, 2)),
    count: 3,
  })),
  {
    name: 'condition 1e3, seven right-hand sides in two dimensions',
    values: spread(size, 1e3),
    block: dependent(size, 7, 2, 4),
    count: 7,
  },
];

/** H from the rows that give it, in float64. */
function rowsOf(values: readonly number[]) {
  const { axis } = turned(values, 1);
  const kept = values.map((value, i) => ({ value, axis: axis(i) })).filter(({ value }) => value !== 0);
  const n = kept.length;
  const features = Float32Array.from(
    kept.flatMap(({ value, axis }) => axis.map((q) => Math.sqrt(n * Math.abs(value)) * q)),
  );
  const labels = Float32Array.from(kept, ({ value }) => Math.sign(value));
  const times = (s: Float64Array): Float64Array => {
    const product = new Float64Array(size);
    for (let row = 0; row < n; row++) {
      const x = features.subarray(row * size, (row + 1) * size);
      const along = (labels[row]! / n) * x.reduce((sum, feature, i) => sum + feature * s[i]!, 0);
      for (let i = 0; i < size; i++) product[i]! += along * x[i]!;
    }
    return product;
  };
  return { source: fromMemory(features, labels, { kind: 'real', width: 1 }), times };
}

async function solve(client: Client, problem: string, method: Method, block: Float64Array, count: number) {
  const rhs = { kind: 'vectors' as const, name: await client.uploadVectors(block, count) };
  const { id } = await client.submit({ type: 'solve', model: problem, dataset: problem, rhs, method });
  const { report } = await client.wait(id);
  return { status: report.status, solutions: (await client.vectors(id, 'solution.arrow')).values };
}

const rows: BenchRow[] = [];
const local = await startLocalFarm({
  workers: 2,
  threads: 1,
  engine: 'cpu',
  plugins: [plugin],
  say: () => {},
});
try {
  const network = await describePlugin(plugin, { input: String(size), l2: 0, l2Biases: true });
  const lines: string[][] = [];
  for (const [i, { name, values, block, count }] of problems.entries()) {
    const { source, times } = rowsOf(values);
    const id = `problem-${i}`;
    await importRows(local.client, id, source);
    await (
      await local.client.models()
    ).put({ ...network, name: id }, new Float32Array(parameterLayout(network).count));
    const line = [name];
    for (const [label, method] of Object.entries(methods)) {
      const { status, solutions } = await solve(local.client, id, method, block, count);
      let worst = 0;
      let rounding = 0;
      for (let k = 0; k < count; k++) {
        const v = block.subarray(k * size, (k + 1) * size);
        const s = Float64Array.from(solutions.subarray(k * size, (k + 1) * size));
        const product = times(s);
        rounding = Math.max(
          rounding,
          (2 ** -23 * Math.max(...values.map(Math.abs)) * Math.hypot(...s)) / Math.hypot(...v),
        );
        worst = Math.max(worst, Math.hypot(...v.map((value, j) => value - product[j]!)) / Math.hypot(...v));
      }
      line.push(`${status} ${formatNumber(worst, 2)}`);
      if (status === 'converged' && label in promised) {
        const goal = promised[label]! + rounding;
        rows.push({ case: name, metric: `residual of ${label}`, value: worst, goal, better: 'lower' });
      }
      process.stderr.write(`${name}, ${label}: ${line.at(-1)}\n`);
    }
    lines.push(line);
  }
  process.stderr.write(
    `\n${table([{ title: 'problem' }, ...Object.keys(methods).map((title) => ({ title }))], lines)}\n\n`,
  );
} finally {
  await local.stop();
}
report(rows);
