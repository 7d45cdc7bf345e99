import type * as tf from '@tensorflow/tfjs';
import type { Curvature } from '../../protocol/requests.js';
import type { Engine } from '../../worker/engines/engine.js';
import { eagerNames } from '../../worker/engines/names.js';
import type { EngineTensor } from '../../worker/engines/select.js';
import { verifiedKernels } from '../../worker/plugins/gradients/verified.js';
import { isSlow } from '../support/tested-engines.js';
import { layerCheck, layerTitles, layerTolerance } from '../worker/curvature/layer-cases.js';
import { lossCheck, lossKinds, lossTolerance } from '../worker/curvature/loss-cases.js';
import { mnistError, mnistModels, mnistTolerance } from '../worker/curvature/mnist-check.js';
import type { NetworkCheck } from '../worker/curvature/network-check.js';
import { kernelCases } from '../worker/plugins/kernel-cases.js';
import { networkCases } from '../worker/plugins/network-cases.js';
import { kernelTolerance, secondOrderErrors } from '../worker/plugins/second-order.js';
import { windowCases } from '../worker/plugins/window-cases.js';

/** The largest relative errors, in norm, of an engine against float64. */
export interface Row {
  engine: string;
  kind: 'layer' | 'loss' | 'kernel' | 'model';
  name: string;
  /** Of the gradient, and of the loss and of rows' derivatives along a vector with it. */
  gradient?: number;
  /** Of products with the Hessian, of some of the rows too, and their asymmetry. */
  hessian?: number;
  gaussNewton?: number;
  tolerance: number;
}

/** What the tests check of every engine, and what takes too long for them. */
export interface Measurement {
  title: string;
  measure: (engine: Engine<EngineTensor>) => Promise<Row[]>;
}

/** Float64 answers are computed once for all engines. */
const networks = [
  ...layerTitles.map((name) => ({
    kind: 'layer' as const,
    name,
    tolerance: layerTolerance,
    checks: (curvature: Curvature) => [layerCheck(name, curvature)],
  })),
  ...lossKinds.map((kind) => ({
    kind: 'loss' as const,
    name: kind.title,
    tolerance: lossTolerance,
    checks: (curvature: Curvature) => [false, true].map((weighted) => lossCheck(kind, curvature, weighted)),
  })),
].map(({ checks, ...rest }) => ({
  ...rest,
  hessian: checks('hessian'),
  gaussNewton: checks('gauss-newton'),
}));

export function measurements(engine: string): Measurement[] {
  return [
    ...networks.map(({ hessian, gaussNewton, ...row }) => ({
      title: row.name,
      measure: async (opened: Engine<EngineTensor>): Promise<Row[]> => {
        const { gradient, product } = await largest(opened, hessian);
        const others = await largest(opened, gaussNewton);
        return [{ engine, ...row, gradient, hessian: product, gaussNewton: others.product }];
      },
    })),
    ...models(engine),
    ...((eagerNames as readonly string[]).includes(engine) ? kernels(engine) : []),
  ];
}

async function largest(engine: Engine<EngineTensor>, checks: readonly NetworkCheck[]) {
  let [gradient, product] = [0, 0];
  for (const check of checks) {
    const errors = await check.errors(engine, [1, 3]);
    gradient = Math.max(gradient, errors.loss!, errors.gradient!);
    product = Math.max(product, errors.product!, errors.symmetry!);
  }
  return { gradient, product };
}

/** All 60,000 digits, but for the engines that take hours. */
const models = (engine: string): Measurement[] =>
  Object.keys(mnistModels).flatMap((title) => {
    const rows = isSlow(engine) || engine === 'cpu' ? 1000 : 60_000;
    if (rows < 60_000 && title !== 'softmax regression') return [];
    const name = `${title}, ${rows.toLocaleString('en-US')} digits`;
    return {
      title: name,
      measure: async (opened) => [
        {
          engine,
          kind: 'model',
          name,
          hessian: await mnistError(opened, title, rows),
          tolerance: mnistTolerance,
        },
      ],
    };
  });

/** The last one hands out the rows: of each verified kernel the largest errors of all losses that run it. */
function kernels(engine: string): Measurement[] {
  const rows = new Map(
    verifiedKernels.map((name): [string, Row] => [
      name,
      { engine, kind: 'kernel', name, tolerance: kernelTolerance },
    ]),
  );
  const cases = Object.entries({ ...kernelCases, ...windowCases, ...networkCases });
  return cases.map(([title, given], index) => ({
    title,
    async measure(opened) {
      const { errors, kernels } = await secondOrderErrors(opened as Engine<tf.Tensor>, given);
      for (const kernel of kernels) {
        const row = rows.get(kernel);
        if (!row) continue;
        row.gradient = Math.max(
          row.gradient ?? 0,
          errors.loss!,
          errors.gradient!,
          errors['row derivatives']!,
        );
        row.hessian = Math.max(row.hessian ?? 0, errors.product!);
      }
      return index === cases.length - 1 ? [...rows.values()] : [];
    },
  }));
}

/** A kernel without a number has no case: that fails too. */
export function isExceeded({ gradient, hessian, gaussNewton, tolerance }: Row): boolean {
  const errors = [gradient, hessian, gaussNewton].filter((error) => error !== undefined);
  return errors.length === 0 || !errors.every((error) => error < tolerance);
}
