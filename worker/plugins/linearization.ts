import * as tf from '@tensorflow/tfjs';
import { NotFiniteError, ShapeMismatchError } from '../../protocol/errors.js';
import type { ParameterLayout } from '../../protocol/model.js';
import type { Batch } from '../curvature/batch.js';
import type { LossAndGradient } from '../curvature/linearization.js';
import type { Engine } from '../engines/engine.js';
import type { Objective } from './objective.js';
import { recorded } from './recording.js';
import { Tape } from './tape.js';
import { trace } from './trace.js';

/*
 * Reverse over reverse, with the first of the two sweeps done once: the loss and the gradient pass are recorded on one
 * tape, g = Σᵢ uᵢ·∇ℓᵢ with u the rows' weights, and each product is a sweep back over it from g with the seed v:
 * ∂(gᵀv)/∂θ = H·v, and ∂(gᵀv)/∂uᵢ = ∇ℓᵢᵀ·v for every row at once.
 */

/** An objective with its parameters on the device. Free it with its `held`. */
export interface BoundObjective {
  objective: Objective;
  layout: ParameterLayout;
  /** Features of a row. */
  width: number;
  parameters: readonly tf.Tensor[];
  held: readonly tf.Tensor[];
}

export interface PluginLinearization {
  batch: Batch;
  bound: BoundObjective;
  tape: Tape;
  /** Of each row. */
  losses: tf.Tensor;
  /** u, 1 where the rows have no weights. */
  rowWeights: tf.Tensor;
  /** Of the sum over the rows, for each array of parameters; undefined where the loss does not depend on it. */
  gradient: readonly (tf.Tensor | undefined)[];
}

/** Uploads θ (p values). @throws ShapeMismatchError for another length */
export function bindObjective(
  engine: Engine<tf.Tensor>,
  objective: Objective,
  layout: ParameterLayout,
  width: number,
  values: Float32Array,
): BoundObjective {
  const parameters = engine.tidy(
    () => uploadVector(layout, values),
    (tensors) => tensors,
  );
  return { objective, layout, width, parameters, held: parameters };
}

/** Runs loss and gradient once and keeps what products need. Free it with `tape.dispose()`. */
export function linearize(
  engine: Engine<tf.Tensor>,
  bound: BoundObjective,
  batch: Batch,
): PluginLinearization {
  const linearization = recordedPass(engine, bound, batch);
  const { tape, losses, rowWeights, gradient } = linearization;
  tape.keepOnly([losses, rowWeights, ...gradient.filter((tensor) => tensor !== undefined)]);
  return linearization;
}

/** Loss and gradient of a linearization, summed over the rows (times their weights), the loss in float64. */
export async function lossAndGradient(
  engine: Engine<tf.Tensor>,
  { bound, losses, gradient, batch: { weights } }: PluginLinearization,
): Promise<LossAndGradient> {
  const sum = engine.tidy(
    () => flat(bound.layout, gradient),
    (made) => [made],
  );
  const values = await engine.download(sum);
  const rowLosses = await engine.download(losses);
  engine.dispose([sum]);
  const row = rowLosses.findIndex((loss) => !Number.isFinite(loss));
  if (row >= 0)
    throw new NotFiniteError(`the loss of row ${row} of this batch is ${rowLosses[row]}`, {
      details: { row },
    });
  return {
    loss: rowLosses.reduce((total, loss, i) => total + loss * (weights?.[i] ?? 1), 0),
    gradient: finite(values, 'gradient'),
  };
}

/** Loss and gradient summed over the rows. Keeps nothing on the device. */
export async function evaluate(
  engine: Engine<tf.Tensor>,
  bound: BoundObjective,
  batch: Batch,
): Promise<LossAndGradient> {
  const linearization = linearize(engine, bound, batch);
  try {
    return await lossAndGradient(engine, linearization);
  } finally {
    linearization.tape.dispose();
  }
}

/** The same, with the piecewise constant parts of loss and gradient. */
export async function evaluateWithPieces(
  engine: Engine<tf.Tensor>,
  bound: BoundObjective,
  batch: Batch,
): Promise<LossAndGradient & { pieces: Float32Array[] }> {
  const pass = recordedPass(engine, bound, batch);
  try {
    const pieces = engine.tidy(
      () => pass.tape.pieces.map((piece) => tf.cast(tf.clone(piece), 'float32')),
      (made) => made,
    );
    const values = await Promise.all(pieces.map((piece) => engine.download(piece)));
    engine.dispose(pieces);
    return { ...(await lossAndGradient(engine, pass)), pieces: values };
  } finally {
    pass.tape.dispose();
  }
}

/** The loss, and the sweep back from it, on one tape. */
function recordedPass(engine: Engine<tf.Tensor>, bound: BoundObjective, batch: Batch): PluginLinearization {
  const tape = new Tape();
  try {
    return engine.tidy(
      () => {
        const losses = trace(tape, bound.objective, bound.parameters, batch, bound.width);
        const rowWeights = batch.weights
          ? tf.tensor(batch.weights.slice(), losses.shape, 'float32')
          : tf.onesLike(losses);
        tape.own(rowWeights);
        const gradient = recorded(tape, () => tape.backward([losses], [rowWeights], bound.parameters));
        return { batch, bound, tape, losses, rowWeights, gradient };
      },
      () => [],
    );
  } catch (error) {
    tape.dispose();
    throw error;
  }
}

/** Σ over the rows of ∇²ℓ(row) times each of the K rows of `vectors`: K × p values. @throws NotFiniteError */
export async function product(
  engine: Engine<tf.Tensor>,
  { bound, tape, gradient }: PluginLinearization,
  vectors: Float32Array,
  count: number,
): Promise<Float32Array> {
  const values = new Float32Array(vectors.length);
  for (const [k, vector] of columns(bound.layout, vectors, count).entries()) {
    const result = engine.tidy(
      () => {
        const { outputs, seeds } = seeded(bound.layout, gradient, vector);
        const products = recorded(undefined, () => tape.backward(outputs, seeds, bound.parameters));
        return flat(bound.layout, products);
      },
      (made) => [made],
    );
    values.set(await engine.download(result), k * bound.layout.count);
    engine.dispose([result]);
  }
  return finite(values, 'Hessian product');
}

/** ∇ℓ(row)ᵀ·v for each of the K rows v of `vectors`: K × b values. */
export async function rowDerivatives(
  engine: Engine<tf.Tensor>,
  { bound, tape, gradient, batch: { rows }, rowWeights }: PluginLinearization,
  vectors: Float32Array,
  count: number,
): Promise<Float32Array> {
  const values = new Float32Array(count * rows);
  for (const [k, vector] of columns(bound.layout, vectors, count).entries()) {
    const result = engine.tidy(
      () => {
        const { outputs, seeds } = seeded(bound.layout, gradient, vector);
        const [derivatives] = recorded(undefined, () => tape.backward(outputs, seeds, [rowWeights]));
        return derivatives ?? tf.zerosLike(rowWeights);
      },
      (made) => [made],
    );
    values.set(await engine.download(result), k * rows);
    engine.dispose([result]);
  }
  return finite(values, 'derivative');
}

/** Where the gradient is something, with the part of v that belongs there. */
function seeded(layout: ParameterLayout, gradient: readonly (tf.Tensor | undefined)[], vector: Float32Array) {
  const parts = uploadVector(layout, vector);
  const pairs = gradient.flatMap((output, index) => (output ? [{ output, seed: parts[index]! }] : []));
  return { outputs: pairs.map(({ output }) => output), seeds: pairs.map(({ seed }) => seed) };
}

function columns(layout: ParameterLayout, vectors: Float32Array, count: number): Float32Array[] {
  if (count < 1 || vectors.length !== count * layout.count)
    throw new ShapeMismatchError(
      `${vectors.length} values are not ${count} vectors of ${layout.count} parameters`,
    );
  return Array.from({ length: count }, (_, k) => vectors.subarray(k * layout.count, (k + 1) * layout.count));
}

function uploadVector({ slices, count }: ParameterLayout, values: Float32Array): tf.Tensor[] {
  if (values.length !== count)
    throw new ShapeMismatchError(`${values.length} values are not the ${count} parameters`);
  return slices.map(({ offset, size, shape }) =>
    tf.tensor(values.slice(offset, offset + size), shape, 'float32'),
  );
}

/** One vector of p values; zero where nothing depends on the parameters. */
function flat({ slices }: ParameterLayout, parts: readonly (tf.Tensor | undefined)[]): tf.Tensor {
  return tf.concat(slices.map(({ size }, index) => tf.reshape(parts[index] ?? tf.zeros([size]), [size])));
}

function finite(values: Float32Array, what: string): Float32Array {
  if (values.every(Number.isFinite)) return values;
  throw new NotFiniteError(`the ${what} has a value that is not finite`, {
    hint: 'the loss has no derivative there: a root or a logarithm at zero, or an overflow',
  });
}
