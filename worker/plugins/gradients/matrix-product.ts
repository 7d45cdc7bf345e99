import * as tf from '@tensorflow/tfjs';
import { attributes, type Expansion, type Rule } from '../rule.js';
import { unbroadcast } from './broadcast.js';

/** The last two axes exchanged. */
function transposed(matrix: tf.Tensor): tf.Tensor {
  const { rank } = matrix;
  const order = matrix.shape.map((_, axis) => axis);
  return tf.transpose(matrix, [...order.slice(0, -2), rank - 1, rank - 2]);
}

/** Of products without transpose flags: da = dy·bᵀ, db = aᵀ·dy. */
export const matrixProductRules: Record<string, Rule> = {
  BatchMatMul: ([dy], { inputs }) => {
    const { a, b } = inputs as { a: tf.Tensor; b: tf.Tensor };
    return {
      a: () => unbroadcast(tf.matMul(dy!, transposed(b)), a.shape),
      b: () => unbroadcast(tf.matMul(transposed(a), dy!), b.shape),
    };
  },
};

/**
 * Without transpose flags (wasm is 15 times slower with them), and a stack of matrices times one matrix as one product.
 * Undefined where the product is that already.
 */
export function plainProduct(
  inputs: Readonly<Record<string, tf.Tensor>>,
  attrs: object,
): (() => tf.Tensor) | undefined {
  const { a, b } = inputs as { a: tf.Tensor; b: tf.Tensor };
  const { transposeA, transposeB } = attributes<tf.BatchMatMulAttrs>({ attrs });
  if (transposeA || transposeB)
    return () => tf.matMul(transposeA ? transposed(a) : a, transposeB ? transposed(b) : b);
  if (a.rank <= 2 || b.rank !== 2) return undefined;
  return () => {
    const [inner, units] = b.shape as [number, number];
    return tf.reshape(tf.matMul(tf.reshape(a, [-1, inner]), b), [...a.shape.slice(0, -1), units]);
  };
}

/** activation(y + bias), as the fused kernels name it. */
export function fusedTail(
  y: tf.Tensor,
  inputs: Readonly<Record<string, tf.Tensor>>,
  attrs: object,
): tf.Tensor {
  const { activation, leakyreluAlpha } = attributes<tf._FusedMatMulAttrs>({ attrs });
  const { bias, preluActivationWeights: alpha } = inputs;
  const sum = bias ? tf.add(y, bias) : y;
  switch (activation) {
    case 'relu':
      return tf.relu(sum);
    case 'relu6':
      return tf.relu6(sum);
    case 'elu':
      return tf.elu(sum);
    case 'prelu':
      return tf.prelu(sum, alpha!);
    case 'leakyrelu':
      return tf.leakyRelu(sum, leakyreluAlpha);
    case 'sigmoid':
      return tf.sigmoid(sum);
    case 'linear':
      return sum;
  }
}

export const fusedMatMul: Expansion = (inputs, attrs) => {
  const { transposeA, transposeB } = attributes<tf._FusedMatMulAttrs>({ attrs });
  return fusedTail(tf.matMul(inputs.a!, inputs.b!, transposeA, transposeB), inputs, attrs);
};
