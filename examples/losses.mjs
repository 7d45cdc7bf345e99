/*
 * Loss functions for `ihvp worker --plugin examples/losses.mjs`. Each export is an objective: the shapes of its
 * parameters, in the order in which they lie in θ, and the loss of each row.
 */

/** Regression with a spread of its own for every row: −log N(y | x·mean + m, e^(x·spread + s)). */
export const heteroscedastic = {
  parameters: { mean: [3, 1], meanBias: [1], spread: [3, 1], spreadBias: [1] },
  loss(tf, { mean, meanBias, spread, spreadBias }, features, labels) {
    const residual = tf.sub(labels, tf.add(tf.matMul(features, mean), meanBias));
    const logSpread = tf.add(tf.matMul(features, spread), spreadBias);
    const scaled = tf.mul(residual, tf.exp(tf.neg(logSpread)));
    return tf.squeeze(tf.add(tf.mul(tf.square(scaled), 0.5), logSpread), [1]);
  },
};

/** An ordinal class: one line, and ordered thresholds between the classes. */
export const ordinal = {
  parameters: { line: [3, 1], thresholds: [2] },
  loss(tf, { line, thresholds }, features, labels) {
    const score = tf.matMul(features, line);
    const above = tf.sigmoid(tf.sub(score, tf.cumsum(tf.softplus(thresholds))));
    const ones = tf.ones([features.shape[0], 1]);
    const atLeast = tf.concat([ones, above, tf.zerosLike(ones)], 1);
    const probabilities = tf.sub(tf.slice(atLeast, [0, 0], [-1, 3]), tf.slice(atLeast, [0, 1], [-1, 3]));
    const chosen = tf.sum(tf.mul(probabilities, tf.oneHot(labels, 3)), 1);
    return tf.neg(tf.log(chosen));
  },
};
