/** The loss ½·c·(x·w)² of a row x with label c: with xᵢ = √(n·|λᵢ|)·qᵢ and c the sign of λᵢ, H has the eigenpairs (λᵢ, qᵢ). */
export const quadratic = {
  parameters: { w: [40, 1] },
  loss(tf, { w }, features, labels) {
    return tf.squeeze(tf.mul(tf.mul(tf.square(tf.matMul(features, w)), labels), 0.5), [1]);
  },
};
