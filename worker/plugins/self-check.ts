import type * as tf from '@tensorflow/tfjs';
import { SelfCheckError } from '../../protocol/errors.js';
import type { ParameterLayout } from '../../protocol/model.js';
import { generator } from '../../protocol/random.js';
import { rowsOf, type Batch } from '../curvature/batch.js';
import { displaced } from '../curvature/displaced.js';
import type { SelfCheck } from '../../protocol/jobs.js';
import { distance, dot, norm, ofSameSize, split } from '../curvature/vectors.js';
import type { Engine } from '../engines/engine.js';
import { bindObjective, evaluateWithPieces, linearize, product } from './linearization.js';
import type { Objective } from './objective.js';

const checkedRows = 4;
const directions = 2;
const steps = Array.from({ length: 8 }, (_, level) => 0.1 / 4 ** level);
/** Wrong derivatives are off by tenths; float32 differences at a good step agree to 1e-4 – 1e-3. */
const differenceTolerance = 1e-2;
/** float32 sums keep 1e-5 of the norms; the rest is room for cancellation. */
const exactTolerance = 1e-3;
/** A part of a product this small beside the whole is measured by the whole. */
const smallPart = 1e-3;

/**
 * Trust in a loss function that nobody here has read, on the first rows of `batch`:
 * the gradient against differences of the loss; the product against differences of the gradient, each array of
 * parameters by itself; uᵀHv = vᵀHu; and the product over the rows together against the sum of each row's own, which
 * finds a loss that mixes rows or is random. Differences are taken row by row, over the largest step at which no
 * piecewise constant part (of relu, max, where …) changes; a row that has none is left out.
 *
 * @throws SelfCheckError saying which check failed, and for which array of parameters
 */
export async function selfCheckObjective(
  engine: Engine<tf.Tensor>,
  objective: Objective,
  layout: ParameterLayout,
  inputShape: readonly number[],
  parameters: Float32Array,
  batch: Batch,
): Promise<SelfCheck> {
  const count = Math.min(batch.rows, checkedRows);
  const together = rowsOf(
    batch,
    Int32Array.from({ length: count }, (_, row) => row),
  );
  const vectors = randomDirections(layout, parameters);
  const at = async <R>(
    theta: Float32Array,
    work: (bound: ReturnType<typeof bindObjective>) => Promise<R>,
  ) => {
    const bound = bindObjective(engine, objective, layout, inputShape, theta);
    try {
      return await work(bound);
    } finally {
      engine.dispose(bound.held);
    }
  };
  const multiplyBy = (rows: Batch, block: Float32Array) =>
    at(parameters, async (bound) => {
      const linearization = linearize(engine, bound, rows);
      try {
        return await product(engine, linearization, block, directions);
      } finally {
        linearization.tape.dispose();
      }
    });
  const evaluateAt = (v: Float32Array, step: number, row: Batch) =>
    at(displaced(parameters, v, step), (bound) => evaluateWithPieces(engine, bound, row));

  const products = await multiplyBy(together, vectors);
  const images = ofSameSize(products, vectors, directions);
  const symmetry = asymmetry(vectors, products, images, await multiplyBy(together, images));
  if (!(symmetry <= exactTolerance))
    throw new SelfCheckError(`the Hessian product is not symmetric: relative difference ${symmetry}`, {
      details: { symmetry, tolerance: exactTolerance },
    });

  const figures: SelfCheck = { symmetry, differences: 0, doubt: 0, step: 0, rows: 0 };
  const sums = new Float32Array(products.length);
  let rowNorms = 0;
  for (let index = 0; index < count; index++) {
    const row = rowsOf(together, Int32Array.of(index));
    const ofRow = await multiplyBy(row, vectors);
    for (const [i, value] of ofRow.entries()) sums[i]! += value;
    rowNorms += norm(ofRow);
    for (const [k, v] of split(vectors, directions).entries()) {
      const compared = await compareRow(layout, split(ofRow, directions)[k]!, v, (step) =>
        evaluateAt(v, step, row),
      );
      if (!compared) continue;
      const { error, doubt, step, what } = compared;
      if (!(error <= differenceTolerance + 3 * doubt))
        throw new SelfCheckError(`${what}: relative difference ${error}`, {
          details: { row: index, step, error, doubt, tolerance: differenceTolerance },
        });
      if (error >= figures.differences) Object.assign(figures, { differences: error, doubt, step });
      if (k === 0) figures.rows++;
    }
  }
  const mixed = distance(products, sums) / (Math.max(rowNorms, norm(products)) || 1);
  if (!(mixed <= exactTolerance))
    throw new SelfCheckError(
      `the product over ${count} rows is not the sum of theirs: relative difference ${mixed}`,
      {
        hint: 'the loss of a row may depend on that row alone, and on no random numbers',
        details: { rows: count, mixed, tolerance: exactTolerance },
      },
    );
  return figures;
}

interface Evaluated {
  loss: number;
  gradient: Float32Array;
  pieces: Float32Array[];
}

interface Compared {
  error: number;
  doubt: number;
  step: number;
  what: string;
}

/** The first step at which all agree, else that at which the differences are steadiest; undefined if all cross kinks. */
async function compareRow(
  layout: ParameterLayout,
  exact: Float32Array,
  v: Float32Array,
  evaluateAt: (step: number) => Promise<Evaluated>,
): Promise<Compared | undefined> {
  const { gradient } = await evaluateAt(0);
  const slope = dot(gradient, v);
  let best: Compared | undefined;
  for (const step of steps) {
    const [ahead, behind] = [await evaluateAt(step), await evaluateAt(-step)];
    if (!ahead.pieces.every((piece, i) => piece.every((value, j) => value === behind.pieces[i]![j])))
      continue;
    const [near, nearBehind] = [await evaluateAt(step / 2), await evaluateAt(-step / 2)];
    const coarse = ahead.gradient.map((g, i) => (g - behind.gradient[i]!) / (2 * step));
    const fine = near.gradient.map((g, i) => (g - nearBehind.gradient[i]!) / step);
    const slopes = [(ahead.loss - behind.loss) / (2 * step), (near.loss - nearBehind.loss) / step] as const;
    const compared = worst([
      ofParts(
        'the gradient disagrees with differences of the loss',
        [slope],
        [slopes[0]],
        [slopes[1]],
        norm(gradient) * norm(v),
      ),
      ...layout.slices.map(({ name, offset, size }) => {
        const part = (values: Float32Array) => values.subarray(offset, offset + size);
        return ofParts(
          `the Hessian product disagrees with differences of the gradient in ${name}`,
          part(exact),
          part(coarse),
          part(fine),
          norm(exact),
        );
      }),
    ]);
    const agrees = compared.error <= differenceTolerance;
    if (best === undefined || agrees || compared.doubt < best.doubt) best = { ...compared, step };
    if (agrees) break;
  }
  return best;
}

function ofParts(
  what: string,
  exact: Iterable<number>,
  coarse: Iterable<number>,
  fine: Iterable<number>,
  whole: number,
): Omit<Compared, 'step'> {
  const [e, c, f] = [Float32Array.from(exact), Float32Array.from(coarse), Float32Array.from(fine)];
  const size = Math.max(norm(e), norm(f), smallPart * whole);
  const relative = (x: number) => (x === 0 ? 0 : x / size);
  return { what, error: relative(distance(e, f)), doubt: relative(distance(c, f)) };
}

const worst = (parts: Omit<Compared, 'step'>[]) =>
  parts.reduce((a, b) => (b.error - 3 * b.doubt > a.error - 3 * a.doubt ? b : a));

/** ± the root mean square of each array, or 1/√size where that is 0. */
function randomDirections(layout: ParameterLayout, parameters: Float32Array): Float32Array {
  const vectors = new Float32Array(directions * layout.count);
  const random = generator(1);
  for (const { offset, size } of layout.slices) {
    const scale = norm(parameters.subarray(offset, offset + size)) / Math.sqrt(size) || 1 / Math.sqrt(size);
    for (let k = 0; k < directions; k++)
      for (let i = 0; i < size; i++)
        vectors[k * layout.count + offset + i] = random.next() < 0 ? -scale : scale;
  }
  return vectors;
}

/** Largest |uᵀHv − vᵀHu| / ‖u‖‖Hv‖, where a thousandth of ‖v‖‖Hu‖ passes for rounding. */
function asymmetry(v: Float32Array, hv: Float32Array, u: Float32Array, hu: Float32Array): number {
  const [vs, hvs, us, hus] = [v, hv, u, hu].map((block) => split(block, directions)) as [
    Float32Array[],
    Float32Array[],
    Float32Array[],
    Float32Array[],
  ];
  return Math.max(
    ...vs.map((direction, k) => {
      const difference = Math.abs(dot(us[k]!, hvs[k]!) - dot(direction, hus[k]!));
      const size = norm(us[k]!) * norm(hvs[k]!) + exactTolerance * norm(direction) * norm(hus[k]!);
      return difference === 0 ? 0 : difference / size;
    }),
  );
}
