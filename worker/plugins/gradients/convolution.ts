import * as tf from '@tensorflow/tfjs';
import { UnsupportedError } from '../../../protocol/errors.js';
import { attributes, type Expansion } from '../rule.js';
import { fusedTail } from './matrix-product.js';

/*
 * Convolutions and pools as shifted, strided views of the padded input, which every engine has and which differentiate
 * to any order: no engine has second derivatives of its own kernels, and wasm not all of the first.
 */

interface Windows {
  filterHeight: number;
  filterWidth: number;
  strideHeight: number;
  strideWidth: number;
  dilationHeight: number;
  dilationWidth: number;
  outHeight: number;
  outWidth: number;
  padInfo: { top: number; left: number };
}

/** Every `stride`-th of the lengths of axis 1 of n × length × rest, `count` of them from `start` on. */
function strided(x: tf.Tensor3D, start: number, stride: number, count: number): tf.Tensor3D {
  const [n, , rest] = x.shape;
  const run = tf.slice(x, [0, start, 0], [n, count * stride, rest]);
  if (stride === 1) return run;
  const groups = tf.reshape(run, [n, count, stride * rest]);
  return tf.slice(groups, [0, 0, 0], [n, count, rest]) as tf.Tensor3D;
}

/** For each position of the window, row by row: what it sees, b × outHeight × outWidth × channels. */
function views(x: tf.Tensor, windows: Windows, padding: number): tf.Tensor4D[] {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const { filterHeight, filterWidth, strideHeight, strideWidth, dilationHeight, dilationWidth } = windows;
  const { outHeight, outWidth, padInfo } = windows;
  const extent = (size: number, dilation: number, out: number, stride: number) =>
    (size - 1) * dilation + out * stride;
  const tall = Math.max(extent(filterHeight, dilationHeight, outHeight, strideHeight), padInfo.top + height);
  const wide = Math.max(extent(filterWidth, dilationWidth, outWidth, strideWidth), padInfo.left + width);
  const before = { top: padInfo.top, left: padInfo.left };
  const margins: [number, number][] = [
    [0, 0],
    [before.top, tall - before.top - height],
    [before.left, wide - before.left - width],
    [0, 0],
  ];
  const padded = margins.flat().every((length) => length === 0) ? x : tf.pad(x, margins, padding);
  const lines = tf.reshape<tf.Rank.R3>(padded, [batch, tall, wide * channels]);
  const seen: tf.Tensor4D[] = [];
  for (let row = 0; row < filterHeight; row++) {
    const rows = strided(lines, row * dilationHeight, strideHeight, outHeight);
    const cells = tf.reshape<tf.Rank.R3>(rows, [batch * outHeight, wide, channels]);
    for (let column = 0; column < filterWidth; column++) {
      const view = strided(cells, column * dilationWidth, strideWidth, outWidth);
      seen.push(tf.reshape(view, [batch, outHeight, outWidth, channels]));
    }
  }
  return seen;
}

function windowsOf(inputs: Readonly<Record<string, tf.Tensor>>, attrs: object, depthwise: boolean): Windows {
  const { strides, dilations, pad, dimRoundingMode, dataFormat } = attributes<tf.Conv2DAttrs>({ attrs });
  if (dataFormat === 'NCHW')
    throw new UnsupportedError('convolutions in NCHW order have no verified gradient here', {
      hint: 'use NHWC, the default',
    });
  const shape = (name: string) => inputs[name]!.shape as [number, number, number, number];
  const [dilation, stride] = [dilations, strides] as [[number, number], [number, number]];
  return tf.backend_util.computeConv2DInfo(
    shape('x'),
    shape('filter'),
    stride,
    dilation,
    pad,
    dimRoundingMode,
    depthwise,
  );
}

const conv2d: Expansion = (inputs, attrs) => {
  const windows = windowsOf(inputs, attrs, false);
  const [height, width, channels, units] = inputs.filter!.shape as [number, number, number, number];
  const seen = views(inputs.x!, windows, 0);
  const patches = seen.length === 1 ? seen[0]! : tf.concat(seen, 3);
  const matrix = tf.reshape(patches, [-1, height * width * channels]);
  const kernel = tf.reshape(inputs.filter!, [height * width * channels, units]);
  return tf.reshape(tf.matMul(matrix, kernel), [
    inputs.x!.shape[0],
    windows.outHeight,
    windows.outWidth,
    units,
  ]);
};

const depthwise: Expansion = (inputs, attrs) => {
  const windows = windowsOf(inputs, attrs, true);
  const [height, width, channels, multiplier] = inputs.filter!.shape as [number, number, number, number];
  const kernel = tf.reshape(inputs.filter!, [height * width, channels, multiplier]);
  const terms = views(inputs.x!, windows, 0).map((view, index) => {
    const weights = tf.reshape(tf.slice(kernel, [index, 0, 0], [1, -1, -1]), [channels, multiplier]);
    return tf.mul(tf.expandDims(view, 4), weights);
  });
  const sum = terms.length === 1 ? terms[0]! : tf.addN(terms);
  return tf.reshape(sum, [inputs.x!.shape[0], windows.outHeight, windows.outWidth, channels * multiplier]);
};

function poolWindows(x: tf.Tensor, attrs: object): Windows {
  const { filterSize, strides, pad, dimRoundingMode } = attributes<tf.MaxPoolAttrs>({ attrs });
  return tf.backend_util.computePool2DInfo(
    x.shape as [number, number, number, number],
    filterSize,
    strides,
    1,
    pad,
    dimRoundingMode,
  );
}

const lowest = -3.4028234663852886e38;

/** Where several values of a window are its largest, each takes the same share of the gradient. */
const maxPool: Expansion = (inputs, attrs) =>
  tf.max(tf.stack(views(inputs.x!, poolWindows(inputs.x!, attrs), lowest)), 0);

/** The mean of what the window sees of the image: the padding does not count. */
const averagePool: Expansion = (inputs, attrs) => {
  const x = inputs.x!;
  const windows = poolWindows(x, attrs);
  const ones = tf.ones([1, x.shape[1]!, x.shape[2]!, 1]);
  return tf.div(tf.addN(views(x, windows, 0)), tf.addN(views(ones, windows, 0)));
};

const batchNorm: Expansion = (inputs, attrs) => {
  const { x, mean, variance, offset, scale } = inputs;
  const { varianceEpsilon } = attributes<tf.FusedBatchNormAttrs>({ attrs });
  const inverse = tf.rsqrt(tf.add(variance!, varianceEpsilon));
  const scaled = tf.mul(tf.sub(x!, mean!), scale ? tf.mul(inverse, scale) : inverse);
  return offset ? tf.add(scaled, offset) : scaled;
};

export const convolutionExpansions: Record<string, Expansion> = {
  Conv2D: conv2d,
  DepthwiseConv2dNative: depthwise,
  MaxPool: maxPool,
  AvgPool: averagePool,
  FusedConv2D: (inputs, attrs) => fusedTail(conv2d(inputs, attrs), inputs, attrs),
  FusedDepthwiseConv2D: (inputs, attrs) => fusedTail(depthwise(inputs, attrs), inputs, attrs),
  FusedBatchNorm: batchNorm,
};
