import type * as tf from '@tensorflow/tfjs';
import type { Case } from './second-order.js';

type Image = number[][][];
const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
const image = (values: number[], height: number, width: number, channels: number): Image =>
  range(height).map((i) =>
    range(width).map((j) => range(channels).map((c) => values[(i * width + j) * channels + c]!)),
  );

interface Window {
  size: [number, number];
  stride: [number, number];
  dilation: [number, number];
  same: boolean;
}

/** For each output place the values seen, position by position; undefined beyond the border (TensorFlow's padding). */
function seen(x: Image, { size, stride, dilation, same }: Window): (number[] | undefined)[][][] {
  const axis = (length: number, a: 0 | 1) => {
    const extent = (size[a] - 1) * dilation[a] + 1;
    const count = same ? Math.ceil(length / stride[a]) : Math.ceil((length - extent + 1) / stride[a]);
    const before = same ? Math.floor(Math.max((count - 1) * stride[a] + extent - length, 0) / 2) : 0;
    return range(count).map((o) => range(size[a]).map((k) => o * stride[a] + k * dilation[a] - before));
  };
  const columns = axis(x[0]!.length, 1);
  return axis(x.length, 0).map((rows) =>
    columns.map((places) => rows.flatMap((i) => places.map((j) => x[i]?.[j]))),
  );
}

const [height, width, channels] = [5, 4, 2];
const windows: Record<string, Window> = {
  valid: { size: [3, 2], stride: [1, 1], dilation: [1, 1], same: false },
  same: { size: [3, 3], stride: [1, 1], dilation: [1, 1], same: true },
  'valid, strides': { size: [2, 2], stride: [2, 1], dilation: [1, 1], same: false },
  'same, strides': { size: [2, 3], stride: [2, 2], dilation: [1, 1], same: true },
  dilated: { size: [2, 2], stride: [1, 1], dilation: [2, 2], same: true },
  '1 × 1': { size: [1, 1], stride: [1, 1], dilation: [1, 1], same: true },
};

const pixels = (x: tf.Tensor) => x.reshape<tf.Tensor4D>([-1, height, width, channels]);
const imageOf = (x: number[], scale: number[]) =>
  image(
    x.map((value, i) => value * scale[i % channels]!),
    height,
    width,
    channels,
  );

function convolution({ size, stride, dilation, same }: Window, fused: boolean): Case {
  const units = 3;
  const shape: [number, number, number, number] = [...size, channels, units];
  const pad = same ? 'same' : 'valid';
  return {
    parameters: { scale: [channels], kernel: shape, bias: [units] },
    width: height * width * channels,
    rows: 2,
    loss: (t, { scale, kernel, bias }, x) => {
      const input: tf.Tensor4D = t.mul(pixels(x), scale!);
      const filter = kernel as tf.Tensor4D;
      const y = fused
        ? t.fused.conv2d({
            x: input,
            filter,
            strides: stride,
            pad,
            dilations: dilation,
            bias: bias!,
            activation: 'sigmoid',
          })
        : t.sigmoid(t.add(t.conv2d(input, filter, stride, pad, 'NHWC', dilation), bias!));
      return t.sum(t.square(y), [1, 2, 3]);
    },
    reference: ({ scale, kernel, bias }, x) =>
      sum(
        seen(imageOf(x, scale!), { size, stride, dilation, same })
          .flat()
          .flatMap((views) =>
            range(units).map((unit) => {
              const z = sum(
                views.flatMap((view, position) =>
                  range(channels).map(
                    (c) => (view?.[c] ?? 0) * kernel![(position * channels + c) * units + unit]!,
                  ),
                ),
              );
              return (1 / (1 + Math.exp(-z - bias![unit]!))) ** 2;
            }),
          ),
      ),
  };
}

function depthwise({ size, stride, dilation, same }: Window, multiplier: number, fused: boolean): Case {
  const pad = same ? 'same' : 'valid';
  return {
    parameters: { scale: [channels], kernel: [...size, channels, multiplier] },
    width: height * width * channels,
    rows: 2,
    loss: (t, { scale, kernel }, x) => {
      const input: tf.Tensor4D = t.mul(pixels(x), scale!);
      const filter = kernel as tf.Tensor4D;
      const options = {
        x: input,
        filter,
        strides: stride,
        pad,
        dilations: dilation,
      } as const;
      const y = fused
        ? t.fused.depthwiseConv2d({ ...options, activation: 'elu' })
        : t.elu(t.depthwiseConv2d(input, filter, stride, pad, 'NHWC', dilation));
      return t.sum(t.square(y), [1, 2, 3]);
    },
    reference: ({ scale, kernel }, x) =>
      sum(
        seen(imageOf(x, scale!), { size, stride, dilation, same })
          .flat()
          .flatMap((views) =>
            range(channels * multiplier).map((out) => {
              const c = Math.floor(out / multiplier);
              const z = sum(
                views.map(
                  (view, position) =>
                    (view?.[c] ?? 0) * kernel![(position * channels + c) * multiplier + (out % multiplier)]!,
                ),
              );
              return (z > 0 ? z : Math.expm1(z)) ** 2;
            }),
          ),
      ),
  };
}

function pool({ size, stride, same }: Window, kind: 'max' | 'average'): Case {
  const pad = same ? 'same' : 'valid';
  return {
    parameters: { scale: [channels] },
    width: height * width * channels,
    rows: 2,
    loss: (t, { scale }, x) => {
      const input: tf.Tensor4D = t.tanh(t.mul(pixels(x), scale!));
      const y = kind === 'max' ? t.maxPool(input, size, stride, pad) : t.avgPool(input, size, stride, pad);
      return t.sum(t.square(y), [1, 2, 3]);
    },
    reference: ({ scale }, x) =>
      sum(
        seen(imageOf(x, scale!), { size, stride, dilation: [1, 1], same })
          .flat()
          .flatMap((views) =>
            range(channels).map((c) => {
              const values = views.flatMap((view) => (view ? [Math.tanh(view[c]!)] : []));
              return (kind === 'max' ? Math.max(...values) : sum(values) / values.length) ** 2;
            }),
          ),
      ),
  };
}

/** Along one axis. */
const line: Case = {
  parameters: { kernel: [3, 2, 2] },
  width: 12,
  loss: (t, { kernel }, x) => {
    const lines: tf.Tensor3D = t.reshape(x, [-1, 6, 2]);
    return t.sum(t.tanh(t.conv1d(lines, kernel as tf.Tensor3D, 1, 'valid')), [1, 2]);
  },
  reference: ({ kernel }, x) =>
    sum(
      range(4).flatMap((at) =>
        range(2).map((unit) => Math.tanh(sum(range(6).map((k) => x[at * 2 + k]! * kernel![k * 2 + unit]!)))),
      ),
    ),
};

const undilated = Object.entries(windows).filter(([name]) => name !== 'dilated');
const square = Object.entries(windows).filter(([, { stride }]) => stride[0] === stride[1]);

const cases: [string, Case][] = [
  ...Object.entries(windows).flatMap(([name, window]): [string, Case][] => [
    [`conv2d: ${name}`, convolution(window, false)],
    [`fused conv2d: ${name}`, convolution(window, true)],
  ]),
  ...square.flatMap(([name, window]): [string, Case][] => [
    [`depthwiseConv2d: ${name}`, depthwise(window, 1, false)],
    [`fused depthwiseConv2d: ${name}`, depthwise(window, 2, true)],
  ]),
  ...undilated.flatMap(([name, window]): [string, Case][] => [
    [`maxPool: ${name}`, pool(window, 'max')],
    [`avgPool: ${name}`, pool(window, 'average')],
  ]),
  ['conv1d: a kernel of 3', line],
];

export const windowCases: Record<string, Case> = Object.fromEntries(cases);
