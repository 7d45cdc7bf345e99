import { parameterLayout, type Network } from '../protocol/model.js';
import { uploadBatch, type Batch } from '../worker/curvature/batch.js';
import { downloadBlock } from '../worker/curvature/block.js';
import { forward } from '../worker/curvature/graph.js';
import { evaluateLoss } from '../worker/curvature/losses.js';
import type { BoundNetwork } from '../worker/curvature/network.js';
import type { Device } from '../worker/engines/operations.js';

/**
 * The gradient written with the care of the product, as a function that computes and downloads it: rows and labels are
 * on the device already, as are all transposes that do not depend on θ. Of a network of dense layers it is written out,
 * so that it computes no second derivative either. Free what it holds with `dispose`.
 */
export function bestGradient<T>(device: Device<T>, bound: BoundNetwork<T>, batch: Batch) {
  const { network, layout, graph } = bound;
  const { features, labels } = uploadBatch(device, network, batch);
  const transpose = (matrix: T) => device.transpose(matrix, [1, 0]);
  const dense = network.layers.every(({ type }) => type === 'dense');
  const layers = dense
    ? graph
        .filter(({ layer }) => layer.sliceCount > 0)
        .map(({ layer: { held } }) => ({ kernel: held[0]!, bias: held[1]!, transposed: transpose(held[0]!) }))
    : [];
  const featuresTransposed = transpose(features);
  const gradient = dense
    ? () => denseGradient(device, layers, features, featuresTransposed, labels)
    : () => {
        const pass = forward(device, graph, features);
        const { gradient: delta } = evaluateLoss(device, network, pass.output, labels);
        return pass.backward(delta).flatMap((layer) => layer?.slices ?? []);
      };
  return {
    async run(): Promise<Float32Array> {
      const slices = device.tidy(gradient, (kept) => kept);
      const values = await downloadBlock(device, layout, { count: 1, slices });
      device.dispose(slices);
      return values;
    },
    dispose: () =>
      device.dispose([features, featuresTransposed, labels, ...layers.map(({ transposed }) => transposed)]),
  };
}

interface DenseParameters<T> {
  kernel: T;
  bias: T;
  transposed: T;
}

/** Softmax cross-entropy of dense layers with tanh between them. */
function denseGradient<T>(
  device: Device<T>,
  layers: readonly DenseParameters<T>[],
  features: T,
  featuresTransposed: T,
  labels: T,
): readonly T[] {
  const activations: T[] = [];
  let output = features;
  for (const { kernel, bias } of layers) {
    const input = activations.length === 0 ? features : device.tanh(output);
    activations.push(input);
    output = device.add(device.matmul(input, kernel), bias);
  }
  const exponentials = device.exp(device.sub(output, device.max(output, 1)));
  let delta = device.sub(device.div(exponentials, device.sum(exponentials, 1)), labels);
  const one = device.fill([1, 1], 1);
  const ones = device.fill([1, device.shape(features)[0]!], 1);
  const slices: T[] = [];
  for (let index = layers.length - 1; index >= 0; index--) {
    const input = activations[index]!;
    const transposed = index === 0 ? featuresTransposed : device.transpose(input, [1, 0]);
    slices.unshift(device.matmul(transposed, delta), device.matmul(ones, delta));
    if (index === 0) continue;
    const through = device.matmul(delta, layers[index]!.transposed);
    delta = device.mul(through, device.sub(one, device.mul(input, input)));
  }
  return slices;
}

/** Floating-point operations of a gradient of dense layers, a row: two products for the first, three for others. */
export function gradientFlops(network: Network): number {
  const kernels = parameterLayout(network).slices.filter(({ shape }) => shape.length === 2);
  return kernels.reduce((sum, { size }, index) => sum + 2 * size * (index === 0 ? 2 : 3), 0);
}
