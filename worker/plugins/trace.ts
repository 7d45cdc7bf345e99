import * as tf from '@tensorflow/tfjs';
import { ShapeMismatchError, UnsupportedError } from '../../protocol/errors.js';
import type { Batch } from '../curvature/batch.js';
import type { Objective } from './objective.js';
import { pluginOperations } from './operations.js';
import { recorded } from './recording.js';
import type { Tape } from './tape.js';

/**
 * Runs the loss function on the rows of a batch, recording what depends on `parameters`, which the tape watches from
 * now on. Call it within `tf.tidy`.
 *
 * @throws UnsupportedError for a kernel that is not verified, and for a loss that does not depend on the parameters;
 *   ShapeMismatchError unless there is one loss a row
 */
export function trace(
  tape: Tape,
  { parameters: shapes, loss }: Objective,
  parameters: readonly tf.Tensor[],
  batch: Batch,
  width: number,
): tf.Tensor {
  const named = Object.fromEntries(Object.keys(shapes).map((name, index) => [name, parameters[index]!]));
  tape.watch(parameters);
  const { features, labels } = tensorsOf(batch, width);
  const losses: unknown = recorded(tape, () => loss(pluginOperations, named, features, labels));
  if (!isTensor(losses))
    throw new ShapeMismatchError('the loss function returned no tensor', {
      hint: 'return a tensor with the loss of each row; the function may not be asynchronous',
    });
  if (losses.size !== batch.rows || losses.shape[0] !== batch.rows)
    throw new ShapeMismatchError(
      `the loss function returned [${losses.shape.join(', ')}] for ${batch.rows} rows`,
      { hint: 'return the loss of each row, not a sum or mean: with tf.losses say tf.Reduction.NONE' },
    );
  if (!tape.depends(losses))
    throw new UnsupportedError(
      'the loss does not depend on the parameters through operations that differentiate',
    );
  return losses;
}

function tensorsOf({ rows, features, labels }: Batch, width: number) {
  if (features.length !== rows * width)
    throw new ShapeMismatchError(`${features.length} features are not ${rows} rows of ${width}`);
  // The cpu backend keeps the very array it is given.
  return {
    features: tf.tensor2d(features.slice(), [rows, width]),
    labels:
      labels instanceof Int32Array
        ? tf.tensor1d(labels.slice(), 'int32')
        : tf.tensor2d(labels.slice(), [rows, labels.length / rows]),
  };
}

const isTensor = (value: unknown): value is tf.Tensor => value instanceof tf.Tensor;
