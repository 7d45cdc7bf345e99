import * as tf from '@tensorflow/tfjs';

/** Sums what broadcasting repeated: the gradient of an input of `shape` from that of the broadcast result. */
export function unbroadcast(gradient: tf.Tensor, shape: readonly number[]): tf.Tensor {
  const added = gradient.rank - shape.length;
  const axes = gradient.shape.flatMap((length, axis) =>
    axis < added || (shape[axis - added] === 1 && length !== 1) ? [axis] : [],
  );
  const summed = axes.length === 0 ? gradient : tf.sum(gradient, axes);
  return sameShape(summed.shape, shape) ? summed : tf.reshape(summed, [...shape]);
}

export const sameShape = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((length, axis) => length === b[axis]);
