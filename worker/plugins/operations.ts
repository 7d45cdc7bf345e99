import * as tf from '@tensorflow/tfjs';
import type { TensorFlow } from './objective.js';

/**
 * ℓ = log(1 + eˣ) − z·x. tfjs's own is max(x, 0) − z·x + log(1 + e^−|x|): the same value, but at x = 0, where every
 * model that begins at zero is, its pieces have kinks, and their derivatives do not add up to ½ and ¼.
 */
function sigmoidCrossEntropy<T extends tf.Tensor, O extends tf.Tensor>(
  labels: T | tf.TensorLike,
  logits: T | tf.TensorLike,
  weights?: tf.Tensor | tf.TensorLike,
  labelSmoothing = 0,
  reduction?: tf.Reduction,
): O {
  const smoothed =
    labelSmoothing === 0 ? labels : tf.add(tf.mul(labels, 1 - labelSmoothing), labelSmoothing / 2);
  const losses = tf.sub(tf.softplus(logits), tf.mul(logits, smoothed));
  return tf.losses.computeWeightedLoss(losses, weights, reduction);
}

/** The `tf` that a loss function is given: TensorFlow.js, with the losses replaced whose second derivative needs it. */
export const pluginOperations: TensorFlow = { ...tf, losses: { ...tf.losses, sigmoidCrossEntropy } };
