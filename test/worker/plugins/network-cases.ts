import type * as tf from '@tensorflow/tfjs';
import { erf } from './erf.js';
import type { Case } from './second-order.js';

const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
const cut = (values: number[], columns: number) =>
  range(values.length / columns).map((i) => values.slice(i * columns, (i + 1) * columns));
const times = (a: number[][], b: number[][]) =>
  a.map((row) => b[0]!.map((_, j) => sum(row.map((value, i) => value * b[i]![j]!))));
const softmax = (row: number[]) => {
  const exponentials = row.map((value) => Math.exp(value - Math.max(...row)));
  return exponentials.map((value) => value / sum(exponentials));
};
const crossEntropy = (logits: number[], label: number) => -Math.log(softmax(logits)[label]!);

/* A transformer block on a sequence of token ids: embedding, attention and a gelu layer, each after a layer norm. */
const [tokens, vocabulary, depth, heads, hidden, classes] = [4, 5, 4, 2, 6, 3];
const headWidth = depth / heads;

const transformer: Case = {
  parameters: {
    embedding: [vocabulary, depth],
    position: [tokens, depth],
    gamma1: [depth],
    beta1: [depth],
    query: [depth, depth],
    key: [depth, depth],
    value: [depth, depth],
    output: [depth, depth],
    gamma2: [depth],
    beta2: [depth],
    up: [depth, hidden],
    upBias: [hidden],
    down: [hidden, depth],
    head: [depth, classes],
  },
  width: tokens,
  classes,
  range: [0, 0.9],
  loss: (t, p, features, labels) => {
    const ids = t.cast(t.floor(t.mul(features, vocabulary)), 'int32');
    const norm = (x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) => {
      const { mean, variance } = t.moments(x, -1, true);
      return t.add(t.mul(t.mul(t.sub(x, mean), t.rsqrt(t.add(variance, 1e-2))), gamma), beta);
    };
    const split = (x: tf.Tensor) => t.transpose(t.reshape(x, [-1, tokens, heads, headWidth]), [0, 2, 1, 3]);
    let x: tf.Tensor = t.add(t.gather(p.embedding!, ids), p.position!);
    const normed = norm(x, p.gamma1!, p.beta1!);
    const [q, k, v] = [p.query!, p.key!, p.value!].map((w) => split(t.matMul(normed, w))) as [
      tf.Tensor,
      tf.Tensor,
      tf.Tensor,
    ];
    const attention = t.softmax(t.div(t.matMul(q, k, false, true), Math.sqrt(headWidth)));
    const joined = t.reshape(t.transpose(t.matMul(attention, v), [0, 2, 1, 3]), [-1, tokens, depth]);
    x = t.add(x, t.matMul(joined, p.output!));
    const z = t.add(t.matMul(norm(x, p.gamma2!, p.beta2!), p.up!), p.upBias!);
    const gelu = t.mul(t.mul(z, 0.5), t.add(1, t.erf(t.mul(z, Math.SQRT1_2))));
    x = t.add(x, t.matMul(gelu, p.down!));
    const logits = t.matMul(t.mean(x, 1), p.head!);
    return t.losses.softmaxCrossEntropy(t.oneHot(labels, classes), logits, undefined, 0, t.Reduction.NONE);
  },
  reference: (p, features, [label]) => {
    const matrix = (name: string, columns: number) => cut(p[name]!, columns);
    const norm = (rows: number[][], gamma: number[], beta: number[]) =>
      rows.map((row) => {
        const mean = sum(row) / depth;
        const variance = sum(row.map((value) => (value - mean) ** 2)) / depth;
        return row.map((value, j) => ((value - mean) / Math.sqrt(variance + 1e-2)) * gamma[j]! + beta[j]!);
      });
    const add = (a: number[][], b: number[][]) => a.map((row, i) => row.map((value, j) => value + b[i]![j]!));
    let x = add(
      features.map((value) => matrix('embedding', depth)[Math.floor(value * vocabulary)]!),
      matrix('position', depth),
    );
    const normed = norm(x, p.gamma1!, p.beta1!);
    const [q, k, v] = ['query', 'key', 'value'].map((name) => times(normed, matrix(name, depth))) as [
      number[][],
      number[][],
      number[][],
    ];
    const joined = q.map((query) =>
      range(heads).flatMap((head) => {
        const part = (row: number[]) => row.slice(head * headWidth, (head + 1) * headWidth);
        const weights = softmax(
          k.map((key) => sum(part(query).map((value, j) => value * part(key)[j]!)) / Math.sqrt(headWidth)),
        );
        return times([weights], v.map(part))[0]!;
      }),
    );
    x = add(x, times(joined, matrix('output', depth)));
    const z = times(norm(x, p.gamma2!, p.beta2!), matrix('up', hidden)).map((row) =>
      row.map((value, j) => value + p.upBias![j]!),
    );
    const gelu = z.map((row) => row.map((value) => 0.5 * value * (1 + erf(value * Math.SQRT1_2))));
    x = add(x, times(gelu, matrix('down', depth)));
    const mean = x[0]!.map((_, j) => sum(x.map((row) => row[j]!)) / tokens);
    return crossEntropy(times([mean], matrix('head', classes))[0]!, label!);
  },
};

/* 6 × 6 image → 3 × 3 convolution, relu, max pool → 2 × 2 convolution, tanh, average pool → dense. */
const cnn: Case = {
  parameters: {
    first: [3, 3, 1, 2],
    firstBias: [2],
    second: [2, 2, 2, 3],
    dense: [3, classes],
    bias: [classes],
  },
  width: 36,
  classes,
  range: [-1, 1],
  loss: (t, p, features, labels) => {
    const image: tf.Tensor4D = t.reshape(features, [-1, 6, 6, 1]);
    const a: tf.Tensor4D = t.relu(t.add(t.conv2d(image, p.first as tf.Tensor4D, 1, 'same'), p.firstBias!));
    const b = t.tanh(t.conv2d(t.maxPool(a, 2, 2, 'valid'), p.second as tf.Tensor4D, 1, 'valid'));
    const pooled = t.reshape(t.avgPool(b, 2, 1, 'valid'), [-1, 3]);
    const logits = t.add(t.matMul(pooled, p.dense!), p.bias!);
    return t.losses.softmaxCrossEntropy(t.oneHot(labels, classes), logits, undefined, 0, t.Reduction.NONE);
  },
  reference: (p, x, [label]) => {
    const pixel = (i: number, j: number) => (i < 0 || j < 0 || i > 5 || j > 5 ? 0 : x[i * 6 + j]!);
    const a = (i: number, j: number, unit: number) =>
      Math.max(
        0,
        p.firstBias![unit]! +
          sum(
            range(9).map((k) => pixel(i + Math.floor(k / 3) - 1, j + (k % 3) - 1) * p.first![k * 2 + unit]!),
          ),
      );
    const largest = range(9).map((place) => {
      const [i, j] = [2 * Math.floor(place / 3), 2 * (place % 3)];
      return range(2).map((unit) =>
        Math.max(a(i, j, unit), a(i, j + 1, unit), a(i + 1, j, unit), a(i + 1, j + 1, unit)),
      );
    });
    const b = [0, 1, 3, 4].map((corner) =>
      range(3).map((unit) =>
        Math.tanh(
          sum(
            [0, 1, 3, 4].flatMap((step, k) =>
              range(2).map((c) => largest[corner + step]![c]! * p.second![(k * 2 + c) * 3 + unit]!),
            ),
          ),
        ),
      ),
    );
    const pooled = range(3).map((unit) => sum(b.map((row) => row[unit]!)) / 4);
    const [logits] = times([pooled], cut(p.dense!, classes));
    return crossEntropy(
      logits!.map((value, j) => value + p.bias![j]!),
      label!,
    );
  },
};

export const networkCases: Record<string, Case> = {
  'a transformer block': transformer,
  'a convolutional network': cnn,
};
