import * as tf from '@tensorflow/tfjs';
import { attributes, type Executed, type Rule } from '../rule.js';

type Axes = number | number[] | null;

/** The axes that were reduced, and the shape of the result with those axes kept as 1. */
function reduction(executed: Executed) {
  const { shape } = executed.inputs.x!;
  const given = attributes<{ axis?: Axes; reductionIndices?: Axes }>(executed);
  // Max alone has another word for it.
  const axis = given.axis ?? given.reductionIndices;
  const axes =
    axis === undefined || axis === null ? shape.map((_, i) => i) : tf.util.parseAxisParam(axis, shape);
  return {
    count: axes.reduce((product, i) => product * shape[i]!, 1),
    axes,
    kept: shape.map((length, i) => (axes.includes(i) ? 1 : length)),
  };
}

/** Repeats dy along the reduced axes. */
function spread(dy: tf.Tensor, executed: Executed): tf.Tensor {
  return tf.broadcastTo(tf.reshape(dy, reduction(executed).kept), executed.inputs.x!.shape);
}

/** Of equal largest (or smallest) values each takes the same share. */
const extreme: Rule = ([dy], executed) => ({
  x: () => {
    const { kept, axes } = reduction(executed);
    const x = executed.inputs.x!;
    const chosen = tf.cast(tf.equal(x, tf.reshape(executed.outputs[0]!, kept)), 'float32');
    return tf.mul(tf.div(chosen, tf.sum(chosen, axes, true)), tf.reshape(dy!, kept));
  },
});

export const reductionRules: Record<string, Rule> = {
  Sum: ([dy], executed) => ({ x: () => spread(dy!, executed) }),
  Mean: ([dy], executed) => ({ x: () => spread(tf.div(dy!, reduction(executed).count), executed) }),
  Max: extreme,
  Min: extreme,
  Cumsum: ([dy], executed) => {
    const { axis, exclusive, reverse } = attributes<tf.CumsumAttrs>(executed);
    return { x: () => tf.cumsum(dy!, axis, exclusive, !reverse) };
  },
};
