import * as tf from '@tensorflow/tfjs';
import type { Rule } from '../rule.js';
import { unbroadcast } from './broadcast.js';

type Slope = (dy: tf.Tensor, a: tf.Tensor, b: tf.Tensor, y: tf.Tensor) => tf.Tensor;

/** Gradients of an operation on two tensors that broadcast. */
const binary =
  (ofA: Slope, ofB: Slope): Rule =>
  ([dy], { inputs, outputs }) => {
    const { a, b } = inputs as { a: tf.Tensor; b: tf.Tensor };
    return {
      a: () => unbroadcast(ofA(dy!, a, b, outputs[0]!), a.shape),
      b: () => unbroadcast(ofB(dy!, a, b, outputs[0]!), b.shape),
    };
  };

const where = (mask: tf.Tensor) => tf.cast(mask, 'float32');

export const binaryRules: Record<string, Rule> = {
  Add: binary(
    (dy) => dy,
    (dy) => dy,
  ),
  Sub: binary(
    (dy) => dy,
    (dy) => tf.neg(dy),
  ),
  Multiply: binary(
    (dy, _, b) => tf.mul(dy, b),
    (dy, a) => tf.mul(dy, a),
  ),
  RealDiv: binary(
    (dy, _, b) => tf.div(dy, b),
    (dy, _a, b, y) => tf.neg(tf.div(tf.mul(dy, y), b)),
  ),
  SquaredDifference: binary(
    (dy, a, b) => tf.mul(dy, tf.mul(tf.sub(a, b), 2)),
    (dy, a, b) => tf.mul(dy, tf.mul(tf.sub(b, a), 2)),
  ),
  /** The first of two equals takes the gradient. */
  Maximum: binary(
    (dy, a, b) => tf.mul(dy, where(tf.greaterEqual(a, b))),
    (dy, a, b) => tf.mul(dy, where(tf.less(a, b))),
  ),
  Minimum: binary(
    (dy, a, b) => tf.mul(dy, where(tf.lessEqual(a, b))),
    (dy, a, b) => tf.mul(dy, where(tf.greater(a, b))),
  ),
  /** aᵇ: b·aᵇ⁻¹, with no 0·∞ where b is 0, and aᵇ·log a where a is positive (else 0, as in tfjs). */
  Pow: binary(
    (dy, a, b) => {
      const exponent = tf.cast(b, 'float32');
      const constant = where(tf.equal(exponent, 0));
      const power = tf.pow(a, tf.add(tf.sub(exponent, 1), constant));
      return tf.mul(dy, tf.mul(exponent, power));
    },
    (dy, a, _, y) => {
      const positive = tf.greater(a, 0);
      const log = tf.log(tf.where(positive, a, tf.onesLike(a)));
      return tf.mul(dy, tf.mul(y, log));
    },
  ),
  Prelu: ([dy], { inputs }) => {
    const { x, alpha } = inputs as { x: tf.Tensor; alpha: tf.Tensor };
    const negative = () => tf.sub(1, tf.step(x));
    return {
      x: () => tf.mul(dy!, tf.add(tf.step(x), tf.mul(negative(), alpha))),
      alpha: () => unbroadcast(tf.mul(dy!, tf.mul(x, negative())), alpha.shape),
    };
  },
  AddN: ([dy], { inputs }) =>
    Object.fromEntries(Object.keys(inputs).map((name) => [name, () => dy!] as const)),
  Select: ([dy], { inputs }) => {
    const { condition } = inputs as { condition: tf.Tensor };
    return {
      t: () => tf.where(condition, dy!, tf.zerosLike(dy!)),
      e: () => tf.where(condition, tf.zerosLike(dy!), dy!),
    };
  },
};
