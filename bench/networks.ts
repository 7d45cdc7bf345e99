import { networkSchema, type Network } from '../protocol/model.js';
import { resolveLayers } from '../protocol/shapes.js';

const dense = (units: number, activation = 'linear') => ({ type: 'dense', units, activation });
const network = (shape: number[], layers: object[]) =>
  networkSchema.parse({ input: { shape }, layers, loss: 'softmaxCrossEntropy' });

/** What the benches of products compute with: rows of 784 values, ten classes. */
export const networks = {
  softmax: network([784], [dense(10)]),
  mlp: network([784], [dense(256, 'tanh'), dense(10)]),
  wide: network([784], [dense(512, 'tanh'), dense(10)]),
  cnn: network(
    [28, 28, 1],
    [
      { type: 'conv2d', filters: 6, kernelSize: [5, 5], padding: 'same', activation: 'tanh' },
      { type: 'averagePooling2d', poolSize: [2, 2] },
      { type: 'conv2d', filters: 16, kernelSize: [5, 5], activation: 'tanh' },
      { type: 'averagePooling2d', poolSize: [2, 2] },
      { type: 'flatten' },
      dense(120, 'tanh'),
      dense(84, 'tanh'),
      dense(10),
    ],
  ),
  large: network([784], [dense(1024, 'tanh'), dense(256, 'tanh'), dense(10)]),
};

/**
 * Floating-point operations of one product for a row and a right-hand side, counted in the matrix products and
 * convolutions alone: of the first layer a·V and aᵀ·Rδ, of every other one Ra·W, Raᵀ·δ, Rδ·Wᵀ and δ·Vᵀ besides.
 */
export function productFlops(description: Network): number {
  const kernels = resolveLayers(description).flatMap(({ layer, outputShape, parameters }) => {
    const kernel = parameters.find(({ shape }) => shape.length > 1);
    if (!kernel) return [];
    const positions = layer.type === 'conv2d' ? outputShape[0]! * outputShape[1]! : 1;
    return [positions * kernel.shape.reduce((product, length) => product * length, 1)];
  });
  return kernels.reduce((sum, terms, index) => sum + 2 * terms * (index === 0 ? 2 : 6), 0);
}
