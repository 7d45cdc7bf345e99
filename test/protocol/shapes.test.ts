import { describe, expect, it } from '@jest/globals';
import { BadRequestError, ShapeMismatchError, TooLargeError } from '../../protocol/errors.js';
import { inputWidth, networkSchema, outputWidth, parameterLayout } from '../../protocol/model.js';
import { resolveLayers } from '../../protocol/shapes.js';

const network = (shape: number[], ...layers: object[]) =>
  networkSchema.parse({ input: { shape }, layers, loss: 'squaredError' });
const shapes = (shape: number[], ...layers: object[]) =>
  resolveLayers(network(shape, ...layers, { type: 'flatten' }, { type: 'dense', units: 1 }))
    .slice(0, -2)
    .map(({ outputShape }) => outputShape);

describe('resolveLayers', () => {
  it('resolveLayers: the shapes that Keras computes for LeNet', () => {
    const conv = { type: 'conv2d', kernelSize: [5, 5], activation: 'tanh' };
    const lenet = network(
      [28, 28, 1],
      { ...conv, filters: 6, padding: 'same' },
      { type: 'averagePooling2d' },
      { ...conv, filters: 16, name: 'second' },
      { type: 'maxPooling2d' },
      { type: 'flatten' },
      ...[120, 84, 10].map((units) => ({ type: 'dense', units })),
    );
    const { slices, count } = parameterLayout(lenet);
    expect(resolveLayers(lenet).map(({ outputShape }) => outputShape)).toEqual([
      [28, 28, 6],
      [14, 14, 6],
      [10, 10, 16],
      [5, 5, 16],
      [400],
      [120],
      [84],
      [10],
    ]);
    // 156 + 2416 + 48120 + 10164 + 850, as in LeCun and others 1998 but for the second convolution's missing links.
    expect(count).toBe(61706);
    expect(slices[2]).toEqual({ name: 'second/kernel', shape: [5, 5, 6, 16], offset: 156, size: 2400 });
    expect([inputWidth(lenet), outputWidth(lenet)]).toEqual([784, 10]);
  });

  it('resolveLayers: strides, dilation and padding as TensorFlow counts them', () => {
    const conv = { type: 'conv2d', filters: 4, kernelSize: [3, 3] };
    expect(shapes([7, 8, 2], { ...conv, strides: [2, 3] })).toEqual([[3, 2, 4]]);
    expect(shapes([7, 8, 2], { ...conv, strides: [2, 3], padding: 'same' })).toEqual([[4, 3, 4]]);
    expect(shapes([7, 8, 2], { ...conv, dilation: [3, 1] })).toEqual([[1, 6, 4]]);
    expect(shapes([9, 2], { type: 'conv1d', filters: 3, kernelSize: 4, strides: 2 })).toEqual([[3, 3]]);
    expect(shapes([6, 4], { type: 'reshape', shape: [-1, 2, 3] })).toEqual([[4, 2, 3]]);
    expect(shapes([6, 4, 3], { type: 'globalMaxPooling2d', keepDims: true })).toEqual([[1, 1, 3]]);
  });

  const dense = (name: string, inputs?: string[]) => ({
    type: 'dense',
    units: 3,
    name,
    ...(inputs && { inputs }),
  });
  it.each([
    ['an input that there is not', [dense('a', ['b'])], /"a".*"b", which there is not/],
    ['a cycle', [dense('a', ['b']), dense('b', ['a'])], /"a".*"b", which does not come before/],
    ['itself as input', [dense('a', ['a'])], /"a".*"a", which does not come before/],
    ['a name twice', [dense('a'), dense('a')], /two layers are named "a"/],
    ['a layer that leads nowhere', [dense('a'), dense('b', ['input'])], /"a" leads nowhere/],
    ['no parameters', [{ type: 'flatten' }], /no parameters/],
  ])('resolveLayers: %s is a BadRequestError', (_, layers, message) => {
    const resolve = () => resolveLayers(network([3], ...layers));
    expect(resolve).toThrow(BadRequestError);
    expect(resolve).toThrow(message);
  });

  it.each([
    [
      'rank',
      [4],
      [{ type: 'conv2d', filters: 1, kernelSize: [1, 1] }],
      /"layer0" \(conv2d\) takes rows of 3 axes/,
    ],
    ['window', [4, 1], [{ type: 'conv1d', filters: 1, kernelSize: 5 }], /does not fit into \[4, 1\]/],
    [
      'strides with dilation',
      [9, 1],
      [{ type: 'conv1d', filters: 1, kernelSize: 2, strides: 2, dilation: 2 }],
      /both strides and dilation/,
    ],
    ['add', [3], [dense('a'), { type: 'add', inputs: ['a', 'input'], name: 'same' }, dense('z')], undefined],
    ['add', [4], [dense('a'), { type: 'add', inputs: ['a', 'input'] }], /equal shapes, not \[3\] and \[4\]/],
    ['one input', [3], [dense('a'), { type: 'add' }], /two or more inputs, not 1/],
    ['two inputs', [3], [dense('a'), dense('b', ['a', 'input'])], /takes one input, not 2/],
    [
      'concatenate',
      [3, 2],
      [dense('a'), { type: 'concatenate', inputs: ['a', 'input'], axis: 0 }],
      /but for axis 0/,
    ],
    ['reshape', [6], [{ type: 'reshape', shape: [-1, 4] }, dense('a')], /cannot make \[-1, 4\] of \[6\]/],
    [
      'statistics',
      [3],
      [dense('a'), { type: 'batchNormalization', mean: [0], variance: [1] }],
      /1 means and 1 variances for 3 channels/,
    ],
  ])('resolveLayers: shapes that do not fit are told with the layer: %s', (_, shape, layers, message) => {
    const resolve = () => resolveLayers(network(shape, ...layers));
    if (message === undefined) return expect(resolve).not.toThrow();
    expect(resolve).toThrow(ShapeMismatchError);
    expect(resolve).toThrow(message);
  });

  it('resolveLayers: arrays without bound are refused', () => {
    const wide = { type: 'dense', units: 2 ** 20 };
    expect(() => resolveLayers(network([3], wide, wide))).toThrow(TooLargeError);
  });
});
