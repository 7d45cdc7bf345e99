import type { Architecture, Loss, Network } from '../../protocol/model.js';
import { applyLayer } from './reference-layers.js';
import type { Rows } from './reference-layers.js';
import { Tape } from './tape.js';
import type { Scalar } from './tape.js';

/** Networks by hand, one row and one value at a time, in float64: what the engines are checked against. */
export interface ReferenceRow {
  x: ArrayLike<number>;
  /** A single class id for softmaxCrossEntropy, else a value for each output. */
  y: ArrayLike<number>;
}

const sigma = (z: number) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));
const log1pExp = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

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

/** ŷ of one row. */
export function referenceOutputs(
  network: Architecture,
  theta: ArrayLike<number>,
  x: ArrayLike<number>,
): number[] {
  const tape = new Tape();
  const parameters = Array.from(theta, (value) => tape.node(value));
  return outputsOf(tape, network, parameters, x).values.map(({ value }) => value);
}

function outputsOf(
  tape: Tape,
  network: Architecture,
  parameters: readonly Scalar[],
  x: ArrayLike<number>,
): Rows {
  const input: Rows = { shape: network.input.shape, values: Array.from(x, (value) => tape.node(value)) };
  const named = new Map([['input', input]]);
  let used = 0;
  let output = input;
  for (const [index, layer] of network.layers.entries()) {
    const inputs = layer.inputs?.map((name) => named.get(name)!) ?? [output];
    output = applyLayer(tape, layer, inputs, (count) => parameters.slice(used, (used += count)));
    named.set(layer.name ?? `layer${index}`, output);
  }
  return output;
}

/** Loss and gradient summed over the rows. */
export function referenceGradient(network: Network, theta: ArrayLike<number>, rows: readonly ReferenceRow[]) {
  const gradient = new Float64Array(theta.length);
  let loss = 0;
  for (const { x, y } of rows) {
    const tape = new Tape();
    const parameters = Array.from(theta, (value) => tape.node(value));
    const output = outputsOf(tape, network, parameters, x);
    const [rowLoss, atOutput] = losses[network.loss](
      output.values.map(({ value }) => value),
      y,
    );
    loss += rowLoss;
    for (const [j, scalar] of output.values.entries()) scalar.grad += atOutput[j]!;
    tape.backward();
    for (const [i, { grad }] of parameters.entries()) gradient[i]! += grad;
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
