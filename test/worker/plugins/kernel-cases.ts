import type * as tf from '@tensorflow/tfjs';
import type { TensorFlow } from '../../../worker/plugins/objective.js';
import { erf } from './erf.js';
import type { Case } from './second-order.js';

type Tf = TensorFlow;
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
const sigma = (x: number) => 1 / (1 + Math.exp(-x));
const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Σⱼ f(wⱼ·xⱼ)² and f(wⱼ·xⱼ) a row: the derivative, its square and the second derivative all count. */
const elementwise = (
  f: (t: Tf, x: tf.Tensor) => tf.Tensor,
  scalar: (x: number) => number,
  rest: Partial<Case> = {},
): Case => ({
  parameters: { w: [4] },
  width: 4,
  loss: (t, { w }, x) => {
    const y = f(t, t.mul(x, w!));
    return t.sum(t.add(y, t.mul(y, y)), 1);
  },
  reference: ({ w }, x) => sum(x.map((value, j) => scalar(w![j]! * value) + scalar(w![j]! * value) ** 2)),
  ...rest,
});

const positive: Partial<Case> = { range: [0.4, 1.5] };

const unary: Record<string, Case> = {
  neg: elementwise(
    (t, x) => t.neg(x),
    (x) => -x,
  ),
  abs: elementwise((t, x) => t.abs(x), Math.abs),
  square: elementwise(
    (t, x) => t.square(x),
    (x) => x * x,
  ),
  sqrt: elementwise((t, x) => t.sqrt(x), Math.sqrt, positive),
  rsqrt: elementwise(
    (t, x) => t.rsqrt(x),
    (x) => 1 / Math.sqrt(x),
    positive,
  ),
  reciprocal: elementwise(
    (t, x) => t.reciprocal(x),
    (x) => 1 / x,
    positive,
  ),
  exp: elementwise((t, x) => t.exp(x), Math.exp),
  expm1: elementwise((t, x) => t.expm1(x), Math.expm1),
  log: elementwise((t, x) => t.log(x), Math.log, positive),
  log1p: elementwise((t, x) => t.log1p(x), Math.log1p, positive),
  sin: elementwise((t, x) => t.sin(x), Math.sin),
  cos: elementwise((t, x) => t.cos(x), Math.cos),
  tan: elementwise((t, x) => t.tan(x), Math.tan, { range: [-0.9, 0.9] }),
  atan: elementwise((t, x) => t.atan(x), Math.atan),
  sinh: elementwise((t, x) => t.sinh(x), Math.sinh),
  cosh: elementwise((t, x) => t.cosh(x), Math.cosh),
  tanh: elementwise((t, x) => t.tanh(x), Math.tanh),
  sigmoid: elementwise((t, x) => t.sigmoid(x), sigma),
  softplus: elementwise(
    (t, x) => t.softplus(x),
    (x) => Math.log1p(Math.exp(x)),
  ),
  logSigmoid: elementwise(
    (t, x) => t.logSigmoid(x),
    (x) => -Math.log1p(Math.exp(-x)),
  ),
  erf: elementwise((t, x) => t.erf(x), erf),
  gelu: elementwise(
    (t, x) => t.mul(t.mul(x, 0.5), t.add(1, t.erf(t.mul(x, Math.SQRT1_2)))),
    (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  ),
  relu: elementwise(
    (t, x) => t.relu(x),
    (x) => Math.max(x, 0),
  ),
  relu6: elementwise(
    (t, x) => t.relu6(t.mul(x, 6)),
    (x) => Math.min(6, Math.max(6 * x, 0)),
  ),
  leakyRelu: elementwise(
    (t, x) => t.leakyRelu(x, 0.3),
    (x) => (x > 0 ? x : 0.3 * x),
  ),
  elu: elementwise(
    (t, x) => t.elu(x),
    (x) => (x > 0 ? x : Math.expm1(x)),
  ),
  selu: elementwise(
    (t, x) => t.selu(x),
    (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
  ),
  clipByValue: elementwise(
    (t, x) => t.clipByValue(x, -0.4, 0.5),
    (x) => Math.min(0.5, Math.max(-0.4, x)),
  ),
  sign: elementwise(
    (t, x) => t.mul(x, t.mul(x, t.sign(x))),
    (x) => x * Math.abs(x),
  ),
  step: elementwise(
    (t, x) => t.mul(t.square(x), t.step(x)),
    (x) => (x > 0 ? x * x : 0),
  ),
  floor: elementwise(
    (t, x) => t.mul(x, t.floor(x)),
    (x) => x * Math.floor(x),
  ),
  ceil: elementwise(
    (t, x) => t.mul(x, t.ceil(x)),
    (x) => x * Math.ceil(x),
  ),
  round: elementwise(
    (t, x) => t.mul(x, t.round(t.mul(x, 1.1))),
    (x) => x * Math.round(1.1 * x),
  ),
  onesLike: elementwise(
    (t, x) => t.add(t.mul(x, t.onesLike(x)), t.zerosLike(x)),
    (x) => x,
  ),
  isNan: elementwise(
    (t, x) =>
      t.where(t.logicalOr(t.isNaN(x), t.isInf(x)), t.zerosLike(x), t.where(t.isFinite(x), x, t.square(x))),
    (x) => x,
  ),
};

/** g of a = w·x and b = v + x, elementwise. */
const pair = (
  g: (t: Tf, a: tf.Tensor, b: tf.Tensor) => tf.Tensor,
  scalar: (a: number, b: number) => number,
  rest: Partial<Case> = {},
): Case => ({
  parameters: { w: [4], v: [1] },
  width: 4,
  loss: (t, { w, v }, x) =>
    t.sum(t.square(t.add(g(t, t.mul(x, w!), t.add(v!, x)), g(t, t.add(x, v!), w!))), 1),
  reference: ({ w, v }, x) =>
    sum(x.map((value, j) => (scalar(w![j]! * value, v![0]! + value) + scalar(value + v![0]!, w![j]!)) ** 2)),
  ...rest,
});
const choose =
  (mask: (t: Tf, a: tf.Tensor, b: tf.Tensor) => tf.Tensor) => (t: Tf, a: tf.Tensor, b: tf.Tensor) =>
    t.where(mask(t, a, b), t.mul(a, a), t.mul(b, a));

const binary: Record<string, Case> = {
  add: pair(
    (t, a, b) => t.add(a, b),
    (a, b) => a + b,
  ),
  sub: pair(
    (t, a, b) => t.sub(a, b),
    (a, b) => a - b,
  ),
  mul: pair(
    (t, a, b) => t.mul(a, b),
    (a, b) => a * b,
  ),
  div: pair(
    (t, a, b) => t.div(a, b),
    (a, b) => a / b,
    positive,
  ),
  addN: pair(
    (t, a, b) => t.addN([t.mul(a, b), t.mul(b, a), t.square(t.mul(b, a))]),
    (a, b) => 2 * a * b + (a * b) ** 2,
  ),
  squaredDifference: pair(
    (t, a, b) => t.squaredDifference(a, b),
    (a, b) => (a - b) ** 2,
  ),
  maximum: pair((t, a, b) => t.maximum(a, b), Math.max),
  minimum: pair((t, a, b) => t.minimum(a, b), Math.min),
  pow: pair((t, a, b) => t.pow(a, b), Math.pow, positive),
  'pow, whole exponents of signed bases': pair(
    (t, a, b) => t.add(t.add(t.pow(a, 0), t.pow(a, 1)), t.add(t.pow(b, 2), t.pow(a, t.scalar(3, 'int32')))),
    (a, b) => 1 + a + b * b + a ** 3,
  ),
  prelu: {
    parameters: { w: [4], alpha: [4] },
    width: 4,
    loss: (t, { w, alpha }, x) => t.sum(t.square(t.prelu(t.mul(x, w!), alpha!)), 1),
    reference: ({ w, alpha }, x) =>
      sum(x.map((value, j) => w![j]! * value).map((z, j) => (z > 0 ? z : alpha![j]! * z) ** 2)),
  },
  greater: pair(
    choose((t, a, b) => t.greater(a, b)),
    (a, b) => (a > b ? a * a : b * a),
  ),
  greaterEqual: pair(
    choose((t, a, b) => t.greaterEqual(a, b)),
    (a, b) => (a >= b ? a * a : b * a),
  ),
  less: pair(
    choose((t, a, b) => t.less(a, b)),
    (a, b) => (a < b ? a * a : b * a),
  ),
  lessEqual: pair(
    choose((t, a, b) => t.logicalNot(t.lessEqual(a, b))),
    (a, b) => (a > b ? a * a : b * a),
  ),
  equal: pair(
    choose((t, a, b) => t.logicalAnd(t.notEqual(a, b), t.logicalNot(t.equal(a, b)))),
    (a) => a * a,
  ),
};

/** Σ of squares of what `f` makes of the outer sum w + x of 6 values, seen as 2 × 3 for each row, weighted by place. */
const arranged = (
  f: (t: Tf, m: tf.Tensor3D) => tf.Tensor,
  reference: (m: number[][]) => number[],
  rest: Partial<Case> = {},
): Case => ({
  parameters: { w: [2, 3] },
  width: 6,
  loss: (t, { w }, x) => {
    const rows = x.shape[0];
    const y = t.reshape(f(t, t.mul(w!, t.reshape(x, [rows, 2, 3]))), [rows, -1]);
    const weights = t.add(t.range(0, y.shape[1]!), 1);
    return t.sum(t.mul(weights, t.mul(y, t.square(y))), 1);
  },
  reference: ({ w }, x) => {
    const m = range(2).map((i) => range(3).map((j) => w![3 * i + j]! * x[3 * i + j]!));
    return sum(reference(m).map((y, k) => (k + 1) * y ** 3));
  },
  ...rest,
});
const transpose = (m: number[][]) => m[0]!.map((_, j) => m.map((row) => row[j]!));
const lse = (row: number[]) => Math.log(sum(row.map(Math.exp)));

const arrangements: Record<string, Case> = {
  'reshape, clone, cast': arranged(
    (t, m) => t.cast(t.clone(t.reshape(m, [-1, 6])), 'float32'),
    (m) => m.flat(),
  ),
  transpose: arranged(
    (t, m) => t.transpose(m, [0, 2, 1]),
    (m) => transpose(m).flat(),
  ),
  'transpose of four axes': arranged(
    (t, m) => t.transpose(t.reshape(m, [-1, 2, 3, 1]), [2, 0, 3, 1]).transpose([1, 0, 3, 2]),
    (m) => transpose(m).flat(),
  ),
  'expandDims, squeeze': arranged(
    (t, m) => t.squeeze(t.expandDims(m, 2), [2]),
    (m) => m.flat(),
  ),
  slice: arranged(
    (t, m) => t.slice(m, [0, 0, 1], [-1, 2, 2]),
    (m) => m.flatMap((row) => row.slice(1)),
  ),
  reverse: arranged(
    (t, m) => t.reverse(m, 2),
    (m) => m.flatMap((row) => [...row].reverse()),
  ),
  concat: arranged(
    (t, m) => t.concat([m, t.square(m), m], 1),
    (m) => [m, m.map((r) => r.map((v) => v * v)), m].flat(2),
  ),
  'stack, unstack': arranged(
    (t, m) => {
      const [a, b, c] = t.unstack(m, 2) as [tf.Tensor, tf.Tensor, tf.Tensor];
      return t.stack([t.mul(a, b), c], 1);
    },
    (m) => [...m.map(([a, b]) => a! * b!), ...m.map((row) => row[2]!)],
  ),
  split: arranged(
    (t, m) => {
      const [a, b] = t.split(m, [1, 2], 2) as [tf.Tensor, tf.Tensor];
      return t.mul(a, b);
    },
    (m) => m.flatMap(([a, b, c]) => [a! * b!, a! * c!]),
  ),
  tile: arranged(
    (t, m) => t.tile(m, [1, 2, 2]),
    (m) => [...m, ...m].flatMap((row) => [...row, ...row]),
  ),
  pad: arranged(
    (t, m) =>
      t.pad(
        m,
        [
          [0, 0],
          [1, 0],
          [0, 2],
        ],
        0.5,
      ),
    (m) => [[0.5, 0.5, 0.5], ...m].flatMap((row) => [...row, 0.5, 0.5]),
  ),
  gather: arranged(
    (t, m) => t.gather(m, t.tensor1d([2, 0, 2], 'int32'), 2),
    (m) => m.flatMap(([a, , c]) => [c!, a!, c!]),
  ),
  'gatherND, scatterND': {
    parameters: { w: [2, 3] },
    width: 3,
    loss: (t, { w }, x) => {
      const order = t.tensor2d([[1], [0], [1]], undefined, 'int32');
      const squares: tf.Tensor = t.square(t.gatherND(w!, order));
      return t.sum(t.exp(t.matMul(x, t.scatterND(order, squares, [2, 3]), false, true)), 1);
    },
    // Row 1 comes twice.
    reference: ({ w }, x) =>
      sum([0, 1].map((i) => Math.exp((i + 1) * sum(x.map((v, j) => v * w![3 * i + j]! ** 2))))),
  },
  oneHot: arranged(
    (t, m) => t.mul(m, t.oneHot(t.tensor1d([0, 2], 'int32'), 3)),
    (m) => [m[0]![0]!, 0, 0, 0, 0, m[1]![2]!],
  ),
  argMax: arranged(
    (t, m) => t.mul(m, t.oneHot(t.cast(t.add(t.argMax(m, 2), t.mul(t.argMin(m, 2), 0)), 'int32'), 3)),
    (m) => m.flatMap((row) => row.map((v) => (v === Math.max(...row) ? v : 0))),
  ),
  sum: arranged(
    (t, m) => t.sum(m, 1),
    (m) => transpose(m).map(sum),
  ),
  'sum, axes kept': arranged(
    (t, m) => t.mul(m, t.sum(m, [1, 2], true)),
    (m) => m.flat().map((v) => v * sum(m.flat())),
  ),
  mean: arranged(
    (t, m) => t.mean(m, -1),
    (m) => m.map((row) => sum(row) / 3),
  ),
  moments: arranged(
    (t, m) => {
      const { mean, variance } = t.moments(m, 2, true);
      return t.div(t.sub(m, mean), t.sqrt(t.add(variance, 0.1)));
    },
    (m) =>
      m.flatMap((row) => {
        const mean = sum(row) / 3;
        const variance = sum(row.map((v) => (v - mean) ** 2)) / 3;
        return row.map((v) => (v - mean) / Math.sqrt(variance + 0.1));
      }),
  ),
  max: arranged(
    (t, m) => t.max(m, 2),
    (m) => m.map((row) => Math.max(...row)),
  ),
  min: arranged(
    (t, m) => t.min(m, 1, true),
    (m) => transpose(m).map((row) => Math.min(...row)),
  ),
  cumsum: arranged(
    (t, m) => t.cumsum(m, 2),
    (m) => m.flatMap(([a, b, c]) => [a!, a! + b!, a! + b! + c!]),
  ),
  'cumsum, exclusive and backwards': arranged(
    (t, m) => t.cumsum(m, 2, true, true),
    (m) => m.flatMap(([, b, c]) => [b! + c!, c!, 0]),
  ),
  logSumExp: arranged(
    (t, m) => t.logSumExp(m, 2),
    (m) => m.map(lse),
  ),
  softmax: arranged(
    (t, m) => t.softmax(m),
    (m) => m.flatMap((row) => row.map((v) => Math.exp(v - lse(row)))),
  ),
  logSoftmax: arranged(
    (t, m) => t.logSoftmax(m),
    (m) => m.flatMap((row) => row.map((v) => v - lse(row))),
  ),
  norm: arranged(
    (t, m) => t.norm(m, 2, 2),
    (m) => m.map((row) => Math.hypot(...row)),
  ),
  batchNorm: arranged(
    (t, m) => {
      const flat: tf.Tensor4D = t.reshape(m, [-1, 1, 2, 3]);
      const first = t.slice(t.reshape(m, [-1, 6]), [0, 0], [1, 3]);
      return t.batchNorm(
        flat,
        t.tensor1d([0.1, 0.2, 0.3]),
        t.tensor1d([1, 2, 3]),
        t.mul(t.reshape(first, [3]), 0),
        [1, 2, 3],
      );
    },
    (m) => m.flatMap((row) => row.map((v, j) => ((v - (j + 1) / 10) / Math.sqrt(j + 1 + 0.001)) * (j + 1))),
  ),
  fill: arranged(
    (t, m) => t.add(m, t.fill([2, 3], 0.25)),
    (m) => m.flat().map((v) => v + 0.25),
  ),
};

const times = (a: number[][], b: number[][]) =>
  a.map((row) => transpose(b).map((column) => sum(row.map((v, i) => v * column[i]!))));
const cut = (values: number[], columns: number) =>
  range(values.length / columns).map((i) => values.slice(i * columns, (i + 1) * columns));

const products: Record<string, Case> = {};
for (const [transposeA, transposeB] of [
  [false, false],
  [true, false],
  [false, true],
  [true, true],
] as const) {
  const suffix = `${transposeA ? 'aᵀ' : 'a'}·${transposeB ? 'bᵀ' : 'b'}`;
  products[`matMul of a stack, ${suffix}`] = {
    parameters: { a: [2, 3], b: [6] },
    width: 6,
    loss: (t, { a, b }, x) => {
      const left = t.mul(t.reshape(x, [-1, 2, 3]), a!);
      const right = t.mul(t.reshape(x, [-1, 2, 3]), t.reshape(b!, [2, 3]));
      const fit = transposeA === transposeB ? t.transpose(right, [0, 2, 1]) : right;
      return t.sum(t.square(t.matMul(left, fit, transposeA, transposeB)), [1, 2]);
    },
    reference: ({ a, b }, x) => {
      const left = cut(
        a!.map((v, i) => v * x[i]!),
        3,
      );
      const right = cut(
        b!.map((v, i) => v * x[i]!),
        3,
      );
      const y = transposeA ? times(transpose(left), right) : times(left, transpose(right));
      const used = transposeA && transposeB ? times(transpose(left), right) : y;
      return sum(used.flat().map((v) => v * v));
    },
  };
  products[`matMul and fused matMul, ${suffix}`] = {
    parameters: { w: [6], bias: [2] },
    width: 3,
    loss: (t, { w, bias }, x) => {
      const weights = transposeB ? t.transpose(t.reshape(w!, [3, 2])) : t.reshape(w!, [3, 2]);
      const input = transposeA ? t.transpose(x) : x;
      const hidden = t.fused.matMul({
        a: input,
        b: weights,
        transposeA,
        transposeB,
        bias: bias!,
        activation: 'elu',
      });
      const plain = t.matMul(input, weights, transposeA, transposeB);
      return t.sum(t.square(t.mul(hidden, plain)), 1);
    },
    reference: ({ w, bias }, x) => {
      const [y] = times([x], cut(w!, 2)) as [number[]];
      return sum(y.map((v, j) => (v * (v + bias![j]! > 0 ? v + bias![j]! : Math.expm1(v + bias![j]!))) ** 2));
    },
  };
}
products['matMul of a stack and one matrix'] = {
  parameters: { w: [3, 2] },
  width: 6,
  loss: (t, { w }, x) => t.sum(t.tanh(t.matMul(t.reshape(x, [-1, 2, 3]), w!)), [1, 2]),
  reference: ({ w }, x) => sum(times(cut(x, 3), cut(w!, 2)).flat().map(Math.tanh)),
};
products['the same values through two shapes on the right'] = {
  parameters: { w: [4, 3] },
  width: 4,
  loss: (t, { w }, x) => {
    const first = t.matMul(x, t.square(w!));
    const shared = t.square(w!);
    const wide = t.matMul(first, t.reshape(shared, [3, 4]));
    return t.sum(t.square(t.matMul(t.tanh(wide), shared)), 1);
  },
  reference: ({ w }, x) => {
    const values = w!.map((v) => v * v);
    const wide = times(times([x], cut(values, 3)), cut(values, 4)).map((row) => row.map(Math.tanh));
    return sum(
      times(wide, cut(values, 3))
        .flat()
        .map((v) => v * v),
    );
  },
};

const crossEntropies: Record<string, Case> = {
  softmaxCrossEntropy: {
    parameters: { w: [4, 3] },
    width: 4,
    classes: 3,
    loss: (t, { w }, x, labels) =>
      t.losses.softmaxCrossEntropy(t.oneHot(labels, 3), t.matMul(x, w!), undefined, 0, t.Reduction.NONE),
    reference: ({ w }, x, [y]) => {
      const [z] = times([x], cut(w!, 3)) as [number[]];
      return lse(z) - z[y!]!;
    },
  },
  sigmoidCrossEntropy: {
    parameters: { w: [4, 1] },
    width: 4,
    classes: 2,
    loss: (t, { w }, x, labels) =>
      t.losses.sigmoidCrossEntropy(
        t.reshape(labels, [-1, 1]),
        t.matMul(x, w!),
        undefined,
        0,
        t.Reduction.NONE,
      ),
    reference: ({ w }, x, [y]) => {
      const z = sum(x.map((v, j) => v * w![j]!));
      return Math.log1p(Math.exp(z)) - y! * z;
    },
  },
};
crossEntropies['sigmoidCrossEntropy at zero'] = {
  ...crossEntropies.sigmoidCrossEntropy!,
  theta: [0, 0, 0, 0],
};
crossEntropies['softmaxCrossEntropy at zero'] = {
  ...crossEntropies.softmaxCrossEntropy!,
  theta: range(12).map(() => 0),
};

export const kernelCases: Record<string, Case> = {
  ...unary,
  ...binary,
  ...arrangements,
  ...products,
  ...crossEntropies,
};
