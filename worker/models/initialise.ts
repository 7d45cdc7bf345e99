import { parameterLayout } from '../../protocol/model.js';
import type { Architecture } from '../../protocol/model.js';
import type { PluginNetwork } from '../../protocol/plugin-model.js';
import { generator, uniform } from '../../protocol/random.js';
import { sizeOf } from '../../protocol/shapes.js';

/** θ = 0: right for a convex model; a network with hidden layers cannot leave it by descent. */
export function zeroParameters(network: Architecture | PluginNetwork): Float32Array {
  return new Float32Array(parameterLayout(network).count);
}

/**
 * Kernels uniform in ±√(6 / (inputs + outputs)), counted with the places of a convolution's window (Glorot and Bengio
 * 2010, equation 16); biases and β zero, γ one, embeddings uniform in ±0.05.
 * The same seed (a non-negative integer) gives the same parameters on every machine.
 */
export function glorotUniformParameters(network: Architecture | PluginNetwork, seed: number): Float32Array {
  const { slices, count } = parameterLayout(network);
  const parameters = new Float32Array(count);
  const random = generator(seed);
  for (const { name, shape, offset, size } of slices) {
    if (name.endsWith('/gamma')) parameters.fill(1, offset, offset + size);
    if (shape.length < 2) continue;
    const places = sizeOf(shape.slice(0, -2));
    const limit = name.endsWith('/embeddings')
      ? 0.05
      : Math.sqrt(6 / (places * (shape.at(-2)! + shape.at(-1)!)));
    for (let i = 0; i < size; i++) parameters[offset + i] = (2 * uniform(random) - 1) * limit;
  }
  return parameters;
}
