import type * as tf from '@tensorflow/tfjs';
import { ShapeMismatchError, UnsupportedError } from '../../protocol/errors.js';
import type { Plugin } from '../../protocol/plugin-model.js';

/** The module's namespace. */
export type TensorFlow = typeof tf;

/**
 * A loss function of the user's. `features` is b × width (float32), `labels` b class ids (int32) or b × m reals
 * (float32); the result is the loss of each row: b values, row i depending on row i alone. It is synchronous, and made
 * of operations of the `tf` that it is given.
 */
export type Loss = (
  tf: TensorFlow,
  parameters: Record<string, tf.Tensor>,
  features: tf.Tensor2D,
  labels: tf.Tensor,
) => tf.Tensor;

/** What a plugin file exports by name. */
export interface Objective {
  /** Name → shape of each array of parameters, in the order in which they lie in θ. */
  parameters: Record<string, number[]>;
  loss: Loss;
}

export type Objectives = ReadonlyMap<string, Objective>;

/** @throws UnsupportedError if this worker has no such objective, ShapeMismatchError if its parameters are others */
export function findObjective(objectives: Objectives, plugin: Plugin): Objective {
  const objective = objectives.get(plugin.name);
  if (!objective) {
    const known = [...objectives.keys()].join(', ');
    throw new UnsupportedError(`this worker has no objective "${plugin.name}"`, {
      hint: known ? `it has: ${known}` : 'start the workers with --plugin FILE',
      details: { objective: plugin.name, known: [...objectives.keys()] },
    });
  }
  const own = Object.entries(objective.parameters).map(([name, shape]) => `${name} [${shape.join(', ')}]`);
  const asked = plugin.parameters.map(({ name, shape }) => `${name} [${shape.join(', ')}]`);
  if (own.join('; ') !== asked.join('; '))
    throw new ShapeMismatchError(
      `objective "${plugin.name}" has the parameters ${own.join('; ')}; the model has ${asked.join('; ')}`,
      { hint: 'create the model anew from this plugin file', details: { objective: plugin.name } },
    );
  return objective;
}
