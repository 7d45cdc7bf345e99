import { expect, it } from '@jest/globals';
import { UnsupportedError } from '../../../protocol/errors.js';
import { namedByLayer } from '../../../worker/models/keras3-weights.js';

const weight = (value: number) => ({ shape: [1], values: Float32Array.of(value) });
const layer = (class_name: string, name: string, options = {}) => ({
  class_name,
  config: { name, ...options },
});

it('namedByLayer counts the layers of each class in the order of the file, whatever they are called', () => {
  const named = namedByLayer(
    new Map([
      ['layers/dense_1/vars/0', weight(1)],
      ['layers/dense/vars/0', weight(2)],
      ['layers/embedding/vars/0', weight(3)],
      ['layers/batch_normalization/vars/1', weight(4)],
      ['layers/depthwise_conv2d/vars/0', weight(5)],
      ['optimizer/vars/0', weight(6)],
    ]),
    [
      layer('Embedding', 'words'),
      layer('Dense', 'dense_1'),
      layer('BatchNormalization', 'norm', { scale: false, center: false }),
      layer('DepthwiseConv2D', 'local'),
      layer('Dense', 'dense'),
    ],
  );
  expect(Object.fromEntries([...named].map(([name, { values }]) => [name, values[0]]))).toEqual({
    'dense/kernel': 1,
    'dense_1/kernel': 2,
    'words/embeddings': 3,
    'norm/moving_variance': 4,
    'local/depthwise_kernel': 5,
    'optimizer/vars/0': 6,
  });
});

it('namedByLayer refuses a layer that has more weights than are known', () => {
  const weights = new Map([['layers/dense/vars/2', weight(1)]]);
  expect(() => namedByLayer(weights, [layer('Dense', 'head')])).toThrow(UnsupportedError);
  expect(() => namedByLayer(weights, [layer('Dense', 'head')])).toThrow('layer "head": Dense with more');
});
