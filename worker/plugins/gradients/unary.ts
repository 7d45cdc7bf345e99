import * as tf from '@tensorflow/tfjs';
import { attributes, type Executed, type Rule } from '../rule.js';

/** dx = dy · f′(x), where f′ may use y = f(x). */
const unary =
  (slope: (x: tf.Tensor, y: tf.Tensor, executed: Executed) => tf.Tensor): Rule =>
  ([dy], executed) => {
    const x = executed.inputs.x!;
    return { x: () => tf.mul(dy!, slope(x, executed.outputs[0]!, executed)) };
  };

const seluAlpha = 1.6732632423543772;
const seluScale = 1.0507009873554805;
/** 1 where the mask is false, 0 where it is true. */
const not = (mask: tf.Tensor) => tf.sub(1, mask);

export const unaryRules: Record<string, Rule> = {
  Neg: ([dy]) => ({ x: () => tf.neg(dy!) }),
  Abs: unary((x) => tf.sign(x)),
  Square: unary((x) => tf.mul(x, 2)),
  Sqrt: unary((_, y) => tf.div(0.5, y)),
  Rsqrt: unary((_, y) => tf.mul(tf.mul(y, -0.5), tf.mul(y, y))),
  Reciprocal: unary((_, y) => tf.neg(tf.mul(y, y))),
  Exp: unary((_, y) => y),
  /** Not y + 1, which loses eˣ for very negative x. */
  Expm1: unary((x) => tf.exp(x)),
  Log: unary((x) => tf.div(1, x)),
  Log1p: unary((x) => tf.div(1, tf.add(x, 1))),
  Sin: unary((x) => tf.cos(x)),
  Cos: unary((x) => tf.neg(tf.sin(x))),
  Tan: unary((_, y) => tf.add(tf.mul(y, y), 1)),
  Atan: unary((x) => tf.div(1, tf.add(tf.mul(x, x), 1))),
  Sinh: unary((x) => tf.cosh(x)),
  Cosh: unary((x) => tf.sinh(x)),
  Tanh: unary((_, y) => tf.sub(1, tf.mul(y, y))),
  /** σ(x)·σ(−x): 1 − σ(x) has no precision where σ(x) is almost 1. */
  Sigmoid: unary((x, y) => tf.mul(y, tf.sigmoid(tf.neg(x)))),
  Softplus: unary((x) => tf.sigmoid(x)),
  Erf: unary((x) => tf.mul(tf.exp(tf.neg(tf.mul(x, x))), 2 / Math.sqrt(Math.PI))),
  Relu: unary((x) => tf.step(x)),
  Relu6: unary((x) => tf.mul(tf.step(x), tf.step(tf.sub(6, x)))),
  LeakyRelu: unary((x, _, executed) => {
    const positive = tf.step(x);
    return tf.add(positive, tf.mul(not(positive), attributes<tf.LeakyReluAttrs>(executed).alpha));
  }),
  Elu: unary((x) => tf.exp(tf.minimum(x, 0))),
  Selu: unary((x) => {
    const positive = tf.step(x);
    const exponential = tf.mul(tf.exp(tf.minimum(x, 0)), seluAlpha);
    return tf.mul(tf.add(positive, tf.mul(not(positive), exponential)), seluScale);
  }),
  ClipByValue: unary((x, _, executed) => {
    const { clipValueMin, clipValueMax } = attributes<tf.ClipByValueAttrs>(executed);
    return tf.cast(tf.logicalAnd(tf.greaterEqual(x, clipValueMin), tf.lessEqual(x, clipValueMax)), 'float32');
  }),
  Softmax: ([dy], { outputs }) => ({
    logits: () => {
      const y = outputs[0]!;
      return tf.mul(y, tf.sub(dy!, tf.sum(tf.mul(dy!, y), -1, true)));
    },
  }),
};
