/**
 * The figures of a notebook on inverse-Hessian-vector products, made by a farm: the iterates of LiSSA in the plane, for
 * several scales and dampings, and the residual of every solver against its products. The model is ŷ = w₂w₁x with
 * squared error, one row (x, y) = (2, 1), at w = (1, ⅓): H = [[8/9, 4/3], [4/3, 8]], and v = (1, 1).
 *
 *   ihvp up                                   # in another terminal; then export IHVP_NATS_URL as it says
 *   node dist/examples/notebook.js --out figures
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { connect, type RequestInput } from 'ihvp';
import { curvesFigure, type Curve } from '../cli/figures/curves.js';
import { colours, saveFigure } from '../cli/figures/render.js';
import { trajectoryFigure, type Frame, type Trajectory } from '../cli/figures/trajectory.js';
import { importDataset } from '../datasets/import.js';
import { DatasetRegistry } from '../datasets/registry.js';
import type { RowSource } from '../datasets/rows.js';
import { openStore } from '../datasets/stores/open-store.js';
import { fromMemory, logisticRegression } from '../datasets/synthetic.js';
import { Objects } from '../protocol/objects.js';

const { values: options } = parseArgs({
  options: {
    out: { type: 'string', default: 'figures' },
    prefix: { type: 'string', default: 'ihvp' },
    /** Steps whose iterates are drawn. */
    steps: { type: 'string', default: '1,2,3,4,5,6,8,10,13,16,20,25,30,40,50,70,100' },
  },
});
const steps = options.steps.split(',').map(Number);
const scales = [20, 10, 5, 1];
const dampings = [0, 0.1, 0.5, 1];

const farm = await connect({ prefix: options.prefix });
const linear = { useBias: false, activation: 'linear' as const };
const toyProblem = { model: 'notebook', dataset: 'notebook' };
const common = { type: 'solve', ...toyProblem, rhs: { kind: 'ones' } } as const;

async function importRows(name: string, source: RowSource): Promise<void> {
  const { nc, names } = farm;
  const registry = await DatasetRegistry.open(nc, names);
  if ((await registry.list()).some((manifest) => manifest.name === name)) return;
  const store = openStore('nats:', name, await Objects.open(nc, names.stores.shards));
  await importDataset({ source, name, store, registry, shuffleSeed: 0 });
}

async function solve(request: RequestInput) {
  const { id } = await farm.submit(request);
  const { report } = await farm.wait(id);
  const { values } = await farm.vectors(id, 'solution.arrow');
  return { report, values };
}

/** One pass over the single row is one step: the iterate after d steps is the answer of depth d. */
async function trajectory(name: string, scale: number, damping: number): Promise<Trajectory> {
  const method = { name: 'lissa', scale, batchSize: 1, samples: 1, restarts: 0 } as const;
  const exact = await solve({ ...common, damping, method: { name: 'direct' } });
  const [x, y] = [exact.values[0]!, exact.values[1]!];
  const points = [{ step: 0, x: 1 / scale, y: 1 / scale }];
  for (const depth of steps) {
    const { report, values } = await solve({ ...common, damping, method: { ...method, depth } });
    if (report.status === 'diverged') {
      console.log(`${name}: ${report.advice}`);
      // A solve hands out no iterate that has diverged: two more steps, to see where it goes.
      while (points.at(-1)!.step < depth + 2) points.push(await lissaStep(points.at(-1)!, scale, damping));
      break;
    }
    points.push({ step: depth, x: values[0]!, y: values[1]! });
  }
  return { name, points, goal: { x, y } };
}

/** u ← u + (v − (H + λI)u)/scale by a product of the farm, which is LiSSA's S ← V + (1 − λ/scale)·S − (H·S)/scale for u = S/scale. */
async function lissaStep({ step, x, y }: Trajectory['points'][number], scale: number, damping: number) {
  const rhs = { kind: 'vectors' as const, name: await farm.uploadVectors(Float64Array.of(x, y), 1) };
  const { id } = await farm.submit({ ...toyProblem, type: 'hvp', rhs, damping });
  await farm.wait(id);
  const { values } = await farm.vectors(id, 'product.arrow');
  return { step: step + 1, x: x + (1 - values[0]!) / scale, y: y + (1 - values[1]!) / scale };
}

/** For a scale that diverges, alone. */
const wide: Frame = { x: [-6, 14], y: [-60, 70] };

async function draw(name: string, spec: Parameters<typeof saveFigure>[0]): Promise<void> {
  for (const kind of ['svg', 'png']) await saveFigure(spec, join(options.out, `${name}.${kind}`));
  console.log(`drawn: ${join(options.out, name)}.svg, .png`);
}

async function drawTogetherAndAlone(
  name: string,
  title: string,
  all: Trajectory[],
  frame: Frame,
): Promise<void> {
  await draw(name, trajectoryFigure(all, frame, { title }));
  for (const [i, one] of all.entries())
    await draw(
      `${name}-${one.name.replace(/.*= /, '')}`,
      trajectoryFigure([one], one.name === 'scale = 1' ? wide : frame, {
        title: `${title}: ${one.name}`,
        palette: [colours[i]!],
      }),
    );
}

try {
  await mkdir(options.out, { recursive: true });
  await importRows(
    'notebook',
    fromMemory(Float32Array.of(2), Float32Array.of(1), { kind: 'real', width: 1 }),
  );
  const layers = [1, 1].map((units) => ({ type: 'dense' as const, units, ...linear }));
  const toy = { input: { shape: [1] }, layers, loss: 'squaredError' as const, l2: 0 };
  await (await farm.models()).put({ ...toy, name: 'notebook' }, Float32Array.of(1, 1 / 3), true);

  const byScale: Trajectory[] = [];
  for (const scale of scales) byScale.push(await trajectory(`scale = ${scale}`, scale, 0));
  await drawTogetherAndAlone('lissa-scales', 'LiSSA from v/scale, no damping', byScale, {
    x: [-0.1, 1.4],
    y: [-0.2, 0.3],
  });
  const byDamping: Trajectory[] = [];
  for (const damping of dampings) byDamping.push(await trajectory(`λ = ${damping}`, 10, damping));
  await drawTogetherAndAlone('lissa-dampings', 'LiSSA with scale 10, damped', byDamping, {
    x: [0, 1.35],
    y: [-0.12, 0.12],
  });

  const width = 40;
  const rows = logisticRegression({ rows: 2000, width, seed: 3 }, { bias: -1, condition: 100 });
  await importRows('notebook-logistic', rows);
  const logistic = {
    input: { shape: [width] },
    layers: [{ type: 'dense' as const, units: 1, useBias: true, activation: 'linear' as const }],
    loss: 'sigmoidCrossEntropy' as const,
    l2: 0.01,
  };
  await (
    await farm.models()
  ).put({ ...logistic, name: 'notebook-logistic' }, new Float32Array(width + 1), true);
  const rhs = { kind: 'gradient' as const, dataset: 'notebook-logistic', rows: [0] };
  const problem = { type: 'solve', model: 'notebook-logistic', dataset: 'notebook-logistic', rhs } as const;
  const curves: Curve[] = [];
  const methods = {
    cg: { name: 'cg' },
    'cg, nystrom': { name: 'cg', preconditioner: 'nystrom' },
    'cg, kfac': { name: 'cg', preconditioner: 'kfac' },
    minres: { name: 'minres' },
    'newton-cg': { name: 'newton-cg' },
    direct: { name: 'direct' },
  } as const;
  for (const [name, method] of Object.entries(methods)) {
    const { report } = await solve({ ...problem, method });
    curves.push({ name, points: report.convergence! });
  }
  const lissa: Curve = { name: 'lissa', points: [] };
  for (const depth of [1, 2, 4, 8, 16, 32, 64]) {
    const { report } = await solve({
      ...problem,
      method: { name: 'lissa', scale: 20, batchSize: 100, depth },
    });
    lissa.points.push({ products: report.products, residual: report.columns![0]!.trueResidual! });
  }
  curves.push(lissa);
  const arnoldi: Curve = { name: 'arnoldi', points: [] };
  for (const rank of [2, 5, 10, 20, 30, 40]) {
    const { report } = await solve({ ...problem, method: { name: 'arnoldi', rank } });
    arnoldi.points.push({ products: report.products, residual: report.columns![0]!.trueResidual! });
  }
  curves.push(arnoldi);
  await draw(
    'solvers',
    curvesFigure(curves, {
      title: 'Every solver on one problem',
      subtitle: `logistic regression, p = ${width + 1}, n = 2,000, l2 = 0.01, one right-hand side`,
      measure: 'relative residual ‖v − (H + λI)s‖/‖v‖',
    }),
  );
} finally {
  await farm.close();
}
