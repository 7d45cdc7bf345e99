import { describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { linearize, multiply, prepareTangent } from '../../../worker/curvature/linearization.js';
import { bindNetwork } from '../../../worker/curvature/network.js';
import { columnsAtOnce, cutColumns, prepareSlabs, productOfSlabs } from '../../../worker/curvature/slabs.js';
import { openEngine } from '../../../worker/engines/select.js';
import { referenceHvp, relativeError } from '../../support/reference.js';
import { networkProblem } from './problem.js';

const { engine } = await openEngine('wasm');

const conv = { type: 'conv2d', filters: 3, kernelSize: [3, 3], padding: 'same', activation: 'tanh' };
const description = {
  input: { shape: [8, 8, 1] },
  layers: [
    conv,
    { type: 'averagePooling2d' },
    { ...conv, strides: [2, 1] },
    { type: 'layerNormalization' },
    { type: 'flatten' },
    { type: 'dense', units: 4, activation: 'gelu' },
    { type: 'dense', units: 3 },
  ],
  loss: 'softmaxCrossEntropy',
} as const;
const rows = 128;
const { network, parameters, batch, referenceRows, uniform } = networkProblem(description, rows, 3);

const views: (string | symbol)[] = ['reshape', 'windows'];

/** The engine, counting the bytes of the tensors that it makes; a view of another has none. */
function counting() {
  const count = { bytes: 0 };
  const device = new Proxy(engine, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...words: unknown[]) => {
        const result: unknown = Reflect.apply(member, target, words);
        if (result instanceof tf.Tensor && !views.includes(name)) count.bytes += 4 * result.size;
        return result;
      };
    },
  });
  return { device, count };
}

describe('columnsAtOnce', () => {
  it.each(['hessian', 'gauss-newton'] as const)('%s: counts the bytes that an engine makes', (curvature) => {
    const { device, count } = counting();
    const bound = bindNetwork(device, network, parameters);
    const linearization = linearize(device, bound, batch, curvature);
    const made = (columns: number) => {
      const tangent = prepareTangent(device, bound, uniform(columns * parameters.length), columns);
      const before = count.bytes;
      device.tidy(
        () => multiply(device, linearization, tangent),
        () => [],
      );
      device.dispose(tangent.held);
      return count.bytes - before;
    };
    const each = made(3) - made(2);
    device.dispose([...linearization.held, ...bound.held]);
    for (const columns of [1, 2, 7, 32])
      expect(columnsAtOnce(network, rows, curvature, (columns + 0.5) * each)).toBe(columns);
    expect(columnsAtOnce(network, rows, curvature, each / 3)).toBe(1);
  });
});

describe('cutColumns', () => {
  it('covers all columns with as few runs of about the same size as there can be', () => {
    expect(cutColumns(16, 20)).toEqual([{ from: 0, to: 16 }]);
    expect(cutColumns(16, 7).map(({ from, to }) => to - from)).toEqual([5, 5, 6]);
    expect(cutColumns(3, 1)).toEqual([0, 1, 2].map((from) => ({ from, to: from + 1 })));
  });
});

describe('productOfSlabs', () => {
  it.each([2, 9])('%i columns at once: equals float64, without a leak', async (atOnce) => {
    const before = engine.memory();
    const bound = bindNetwork(engine, network, parameters);
    const linearization = linearize(engine, bound, batch);
    const p = parameters.length;
    const vectors = uniform(5 * p);
    const slabs = prepareSlabs(engine, bound, vectors, 5, atOnce);
    const products = await productOfSlabs(engine, linearization, slabs);
    for (const k of [0, 4]) {
      const own = (values: Float32Array) => values.subarray(k * p, (k + 1) * p);
      const expected = referenceHvp(network, parameters, referenceRows, own(vectors));
      // Float32 sums of at most 8,192 terms: rows times positions.
      expect(relativeError(own(products), expected)).toBeLessThan(5e-6);
    }
    engine.dispose([...slabs.flatMap(({ held }) => held), ...linearization.held, ...bound.held]);
    expect(engine.memory()).toEqual(before);
  });
});
