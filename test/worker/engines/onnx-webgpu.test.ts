import { describe, expect, it } from '@jest/globals';
import { linearize, prepareTangent, product } from '../../../worker/curvature/linearization.js';
import { bindNetwork } from '../../../worker/curvature/network.js';
import { openEngine } from '../../../worker/engines/select.js';
import { absent } from '../../support/engines.js';
import { referenceHvp, relativeError } from '../../support/reference.js';
import { networkProblem } from '../curvature/problem.js';

const reason = absent.get('onnx-webgpu');

// The graphs are those of `onnx`, tested there; what is asked here is whether the GPU path computes them, values staying
// on the device between graphs. On SwiftShader, without a GPU, each new graph takes seconds.
describe(`onnx-webgpu${reason ? ` (does not start: ${reason})` : ''}`, () => {
  (reason ? it.skip : it)(
    'product: equals float64 for two right-hand sides, the same bits every time',
    async () => {
      const { engine } = await openEngine('onnx-webgpu');
      const { network, parameters, batch, referenceRows, uniform } = networkProblem(
        {
          input: { shape: [4, 4, 1] },
          layers: [
            { type: 'conv2d', filters: 2, kernelSize: [2, 2], activation: 'tanh' },
            { type: 'maxPooling2d', poolSize: [2, 2], strides: [1, 1] },
            { type: 'flatten' },
            { type: 'dense', units: 3 },
          ],
          loss: 'softmaxCrossEntropy',
        },
        5,
        3,
      );
      const p = parameters.length;
      const vectors = uniform(2 * p);
      const before = engine.memory();
      const bound = bindNetwork(engine, network, parameters);
      const linearization = linearize(engine, bound, batch);
      const tangent = prepareTangent(engine, bound, vectors, 2);
      const values = await product(engine, linearization, tangent);
      expect(await product(engine, linearization, tangent)).toEqual(values);
      for (const k of [0, 1]) {
        const of = (all: Float32Array) => all.subarray(k * p, (k + 1) * p);
        const expected = referenceHvp(network, parameters, referenceRows, of(vectors));
        expect(relativeError(of(values), expected)).toBeLessThan(5e-6);
      }
      engine.dispose([...bound.held, ...linearization.held, ...tangent.held]);
      expect(engine.memory()).toEqual(before);
    },
  );
});
