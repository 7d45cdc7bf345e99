import * as tf from '@tensorflow/tfjs';

/*
 * Copies between matrices where the engine cannot read its tensors at once, as on a GPU. Call them within `tf.tidy`.
 * None adds with atomics: the bits of a sum do not depend on which thread comes first.
 */

export const sliceRows = (a: tf.Tensor, from: number, to: number): tf.Tensor =>
  tf.slice(a, [from, ...a.shape.slice(1).map(() => 0)], [to - from, ...a.shape.slice(1)]);

export const gatherRows = (a: tf.Tensor, indices: Int32Array): tf.Tensor =>
  tf.gather(a, tf.tensor1d(indices.slice(), 'int32'));

/** Column j is column `indices[j]`, zeros where that is −1. */
export function gatherColumns(a: tf.Tensor, indices: Int32Array): tf.Tensor {
  const [rows, columns] = a.shape as [number, number];
  if (!indices.includes(-1)) return tf.gather(a, tf.tensor1d(indices.slice(), 'int32'), 1);
  const orZero = indices.map((index) => (index < 0 ? columns : index));
  return tf.gather(tf.concat([a, tf.zeros([rows, 1])], 1), tf.tensor1d(orZero, 'int32'), 1);
}

/** Column j is added to column `indices[j]`; −1 is left out. Each target column gathers its sources, in order. */
export function scatterColumns(a: tf.Tensor, indices: Int32Array, columns: number): tf.Tensor {
  const sources = Array.from({ length: columns }, (): number[] => []);
  for (const [from, to] of indices.entries()) if (to >= 0) sources[to]!.push(from);
  const depth = Math.max(1, ...sources.map(({ length }) => length));
  const table = new Int32Array(columns * depth).fill(-1);
  for (const [to, from] of sources.entries()) table.set(from, to * depth);
  const gathered = gatherColumns(a, table);
  return depth === 1 ? gathered : tf.sum(tf.reshape(gathered, [a.shape[0], columns, depth]), 2);
}

/** Rows by ids, NaN for an id that is no whole number 0 … rows − 1: the device cannot throw. */
export function lookupRows(a: tf.Tensor, ids: tf.Tensor): tf.Tensor {
  const flat = tf.reshape(ids, [ids.size]);
  const whole = tf.clipByValue(tf.floor(flat), 0, a.shape[0] - 1);
  const wrong = tf.reshape(tf.abs(tf.sub(flat, whole)), [ids.size, 1]);
  // log 1 = 0 for a right id, log −1 = NaN.
  const poison = tf.log(tf.sub(1, tf.mul(tf.step(wrong), 2)));
  return tf.add(tf.gather(a, tf.cast(whole, 'int32')), poison);
}

/** The matrix that adds row i of its right factor to row `ids[i]`: `rows` × k. */
export const scatterMatrix = (ids: tf.Tensor, rows: number): tf.Tensor =>
  tf.transpose(tf.cast(tf.oneHot(tf.cast(tf.reshape(ids, [ids.size]), 'int32'), rows), 'float32'));
