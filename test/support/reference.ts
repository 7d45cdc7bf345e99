import type { Activation, Loss, Network } from '../../protocol/model.js';

/** Dense networks by hand, one row and one value at a time, in float64: what the engines are checked against. */
export interface ReferenceRow {
  x: ArrayLike<number>;
  /** A single class id for softmaxCrossEntropy, else a value for each output. */
  y: ArrayLike<number>;
}

const sigma = (z: number) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));
const log1pExp = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

/** [φ(z), φ′(z)] */
const activations: Record<Activation, (z: number) => [number, number]> = {
  linear: (z) => [z, 1],
  relu: (z) => (z > 0 ? [z, 1] : [0, 0]),
  tanh: (z) => [Math.tanh(z), 1 / Math.cosh(z) ** 2],
  sigmoid: (z) => [sigma(z), sigma(z) * sigma(-z)],
  softplus: (z) => [log1pExp(z), sigma(z)],
};

/** ℓ and its gradient in the outputs. */
const losses: Record<Loss, (z: number[], y: ArrayLike<number>) => [number, number[]]> = {
  squaredError: (z, y) => [
    z.reduce((sum, value, j) => sum + (value - y[j]!) ** 2, 0),
    z.map((value, j) => 2 * (value - y[j]!)),
  ],
  softmaxCrossEntropy: (z, y) => {
    const top = Math.max(...z);
    const total = z.reduce((sum, value) => sum + Math.exp(value - top), 0);
    const p = z.map((value) => Math.exp(value - top) / total);
    const others = p.reduce((sum, value, j) => (j === y[0] ? sum : sum + value), 0);
    return [Math.log(total) + top - z[y[0]!]!, p.map((value, j) => (j === y[0] ? -others : value))];
  },
  sigmoidCrossEntropy: (z, y) => [
    z.reduce((sum, value, j) => sum + y[j]! * log1pExp(-value) + (1 - y[j]!) * log1pExp(value), 0),
    z.map((value, j) => (1 - y[j]!) * sigma(value) - y[j]! * sigma(-value)),
  ],
};

/** Loss and gradient summed over the rows. */
export function referenceGradient(network: Network, theta: ArrayLike<number>, rows: readonly ReferenceRow[]) {
  const gradient = new Float64Array(theta.length);
  let loss = 0;
  for (const { x, y } of rows) {
    const inputs: number[][] = [];
    const slopes: number[][] = [];
    const offsets: number[] = [];
    let a = Array.from(x);
    let offset = 0;
    for (const { units, useBias, activation } of network.layers) {
      inputs.push(a);
      offsets.push(offset);
      const bias = offset + a.length * units;
      const start = offset;
      const pairs = Array.from({ length: units }, (_, j) =>
        activations[activation](
          a.reduce(
            (sum, value, i) => sum + value * theta[start + i * units + j]!,
            useBias ? theta[bias + j]! : 0,
          ),
        ),
      );
      slopes.push(pairs.map(([, slope]) => slope));
      a = pairs.map(([value]) => value);
      offset = bias + (useBias ? units : 0);
    }
    const [rowLoss, atOutput] = losses[network.loss](a, y);
    loss += rowLoss;
    let delta = atOutput;
    for (let l = network.layers.length - 1; l >= 0; l--) {
      const { units, useBias } = network.layers[l]!;
      const from = offsets[l]!;
      const input = inputs[l]!;
      const dz = delta.map((value, j) => value * slopes[l]![j]!);
      input.forEach((value, i) => dz.forEach((d, j) => (gradient[from + i * units + j]! += value * d)));
      if (useBias) dz.forEach((d, j) => (gradient[from + input.length * units + j]! += d));
      delta = input.map((_, i) => dz.reduce((sum, d, j) => sum + d * theta[from + i * units + j]!, 0));
    }
  }
  return { loss, gradient };
}

/**
 * Σ ∇²ℓ·v by central differences of the float64 gradient at steps r and 2r, extrapolated: truncation of order r⁴
 * and rounding of order 1e-16/r leave about 1e-11, relative.
 */
export function referenceHvp(
  network: Network,
  theta: ArrayLike<number>,
  rows: readonly ReferenceRow[],
  v: ArrayLike<number>,
  r = 1e-4,
): Float64Array {
  const difference = (step: number) => {
    const at = (sign: number) =>
      referenceGradient(
        network,
        Array.from(theta, (value, i) => value + sign * step * v[i]!),
        rows,
      ).gradient;
    const [ahead, behind] = [at(1), at(-1)];
    return ahead.map((value, i) => (value - behind[i]!) / (2 * step));
  };
  const [fine, coarse] = [difference(r), difference(2 * r)];
  return fine.map((value, i) => (4 * value - coarse[i]!) / 3);
}

/** ‖a − b‖ / ‖b‖ (‖a − b‖ where b is zero). */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const norm = (values: number[]) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(Array.from(a, (value, i) => value - b[i]!)) / (norm(Array.from(b)) || 1);
}
