import type { Loss } from '../../protocol/model.js';
import { normal, uniform, type RandomGenerator } from '../../protocol/random.js';

/**
 * Labels b × m drawn from what the outputs predict, so that E[∂ℓ/∂z ∂ℓ/∂zᵀ] is the Hessian of the loss in the outputs: what the
 * true Fisher matrix is made of (Martens & Grosse 2015; Kunstner, Balles & Hennig 2019 on why the data's own labels are not it).
 * For `huber` the derivative is ±min(1, δ), which counts outliers as if they were none.
 */
export function sampledLabels(
  { loss, huberDelta = 1 }: { loss: Loss; huberDelta?: number | undefined },
  outputs: Float32Array,
  width: number,
  random: RandomGenerator,
): Float32Array {
  if (loss === 'softmaxCrossEntropy') return sampledClasses(outputs, width, random);
  return outputs.map((z) => {
    switch (loss) {
      case 'sigmoidCrossEntropy':
        return uniform(random) < 1 / (1 + Math.exp(-z)) ? 1 : 0;
      case 'squaredError':
        // ℓ = (z − y)², ℓ″ = 2
        return z + normal(random) / Math.SQRT2;
      case 'huber':
        return z + (uniform(random) < 0.5 ? -1 : 1) * Math.min(1, huberDelta);
      case 'poisson':
        // Of the same mean and variance; only those matter.
        return Math.exp(z) + Math.exp(z / 2) * normal(random);
    }
  });
}

function sampledClasses(outputs: Float32Array, width: number, random: RandomGenerator): Float32Array {
  const labels = new Float32Array(outputs.length);
  for (let from = 0; from < outputs.length; from += width) {
    const z = outputs.subarray(from, from + width);
    const top = z.reduce((most, value) => Math.max(most, value), -Infinity);
    const weights = Float64Array.from(z, (value) => Math.exp(value - top));
    let left = uniform(random) * weights.reduce((sum, weight) => sum + weight, 0);
    let chosen = 0;
    while (chosen < width - 1 && (left -= weights[chosen]!) > 0) chosen += 1;
    labels[from + chosen] = 1;
  }
  return labels;
}
