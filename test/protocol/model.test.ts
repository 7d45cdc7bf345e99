import { describe, expect, it } from '@jest/globals';
import type { Labels, Manifest } from '../../protocol/dataset.js';
import { ShapeMismatchError } from '../../protocol/errors.js';
import { checkModelFitsDataset, l2Diagonal, losses, networkSchema, type Loss } from '../../protocol/model.js';

const networkOf = (loss: Loss, units: number) =>
  networkSchema.parse({
    input: { shape: [2] },
    layers: [
      { type: 'dense', units: 3 },
      { type: 'dense', units, useBias: false },
    ],
    loss,
    l2: 0.5,
  });

const datasetOf = (labels: Labels): Manifest => ({
  format: 'ihvp-dataset',
  version: 1,
  name: 'data',
  location: 'nats:',
  rows: 10,
  features: { width: 2 },
  labels,
  shuffleSeed: 0,
  shards: [{ name: 's', rows: 10, bytes: 1, sha256: '0'.repeat(64) }],
  source: 'test',
  created: '2024-01-01T00:00:00Z',
});

function fits(loss: Loss, units: number, labels: Labels): boolean {
  try {
    checkModelFitsDataset({ ...networkOf(loss, units), name: 'model' }, datasetOf(labels));
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(ShapeMismatchError);
    return false;
  }
}

describe('checkModelFitsDataset', () => {
  it('checkModelFitsDataset: real labels are one value an output, for softmaxCrossEntropy a distribution', () => {
    for (const loss of losses) {
      expect(fits(loss, 3, { kind: 'real', width: 3 })).toBe(true);
      expect(fits(loss, 3, { kind: 'real', width: 2 })).toBe(false);
    }
  });

  it('checkModelFitsDataset: class ids are classes for softmaxCrossEntropy, one real value for the others', () => {
    expect(fits('softmaxCrossEntropy', 3, { kind: 'class', classes: 3 })).toBe(true);
    expect(fits('softmaxCrossEntropy', 2, { kind: 'class', classes: 3 })).toBe(false);
    for (const loss of losses.filter((name) => name !== 'softmaxCrossEntropy')) {
      expect(fits(loss, 1, { kind: 'class', classes: 2 })).toBe(true);
      expect(fits(loss, 2, { kind: 'class', classes: 2 })).toBe(false);
      expect(fits(loss, 1, { kind: 'class', classes: 3 })).toBe(loss !== 'sigmoidCrossEntropy');
    }
  });
});

describe('l2Diagonal', () => {
  it('l2Diagonal: l2 for every parameter, or with l2Biases false for kernels alone', () => {
    const network = networkOf('huber', 1);
    expect([...l2Diagonal(network)]).toEqual(new Array(12).fill(0.5));
    // 2 × 3 kernel values, 3 biases, 3 kernel values.
    const kernels = [...new Array<number>(6).fill(0.5), 0, 0, 0, 0.5, 0.5, 0.5];
    expect([...l2Diagonal({ ...network, l2Biases: false })]).toEqual(kernels);
  });
});
