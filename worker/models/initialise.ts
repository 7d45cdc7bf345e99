import { uniformFloat32 } from 'pure-rand/distribution/uniformFloat32';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { parameterLayout } from '../../protocol/model.js';
import type { Architecture } from '../../protocol/model.js';

/** θ = 0: right for a convex model; a network with hidden layers cannot leave it by descent. */
export function zeroParameters(network: Architecture): Float32Array {
  return new Float32Array(parameterLayout(network).count);
}

/**
 * Kernels uniform in ±√(6 / (inputs + units)), biases zero (Glorot and Bengio 2010, equation 16).
 * The same seed (an integer) gives the same parameters on every machine.
 */
export function glorotUniformParameters(network: Architecture, seed: number): Float32Array {
  const { slices, count } = parameterLayout(network);
  const parameters = new Float32Array(count);
  const generator = xoroshiro128plus(seed);
  for (const { shape, offset, size } of slices) {
    const [inputs, units] = shape;
    if (units === undefined) continue; // a bias
    const limit = Math.sqrt(6 / (inputs! + units));
    for (let i = 0; i < size; i++) parameters[offset + i] = (2 * uniformFloat32(generator) - 1) * limit;
  }
  return parameters;
}
