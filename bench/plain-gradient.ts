import * as tf from '@tensorflow/tfjs';
import { parameterLayout, type Network } from '../protocol/model.js';
import type { Batch } from '../worker/curvature/batch.js';
import type { Work } from './measure.js';

/**
 * The gradient of a network of dense layers as one writes it with TensorFlow.js (`tf.grads`, the built-in loss), download
 * included, on the backend that is current.
 */
export function plainGradient(network: Network, parameters: Float32Array, batch: Batch): Work {
  const x = tf.tensor2d(batch.features, [batch.rows, batch.features.length / batch.rows]);
  const y = tf.oneHot(tf.tensor1d(batch.labels as Int32Array, 'int32'), 10).toFloat();
  const weights = parameterLayout(network).slices.map(({ offset, size, shape }) =>
    tf.tensor(parameters.subarray(offset, offset + size), shape),
  );
  const gradients = tf.grads((...theta: tf.Tensor[]) => {
    let activation: tf.Tensor = x;
    for (const [index, layer] of network.layers.entries()) {
      activation = tf.add(tf.matMul(activation, theta[2 * index]!), theta[2 * index + 1]!);
      if ('activation' in layer && layer.activation === 'tanh') activation = tf.tanh(activation);
    }
    return tf.losses.softmaxCrossEntropy(y, activation);
  });
  return {
    async run() {
      const found = gradients(weights);
      await Promise.all(found.map((gradient) => gradient.data()));
      tf.dispose(found);
    },
    dispose: () => tf.dispose([x, y, ...weights]),
  };
}
