import type { Architecture, Loss, Network } from '../../protocol/model.js';
import { applyLayer } from './reference-layers.js';
import type { Rows } from './reference-layers.js';
import { Tape } from './tape.js';
import type { Scalar } from './tape.js';

/** Networks by hand, one row and one value at a time, in float64: what the engines are checked against. */
export interface ReferenceRow {
  x: ArrayLike<number>;
  /** A class id or a distribution for softmaxCrossEntropy, else a value for each output. */
  y: ArrayLike<number>;
  /** 1 where absent. */
  weight?: number;
}

const sigma = (z: number) => (z >= 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));
const log1pExp = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

/** ℓ and its gradient in the outputs. */
const losses: Record<Loss, (z: number[], y: ArrayLike<number>, huberDelta: number) => [number, number[]]> = {
  squaredError: (z, y) => [
    z.reduce((sum, value, j) => sum + (value - y[j]!) ** 2, 0),
    z.map((value, j) => 2 * (value - y[j]!)),
  ],
  huber: (z, y, delta) => [
    z.reduce((sum, value, j) => {
      const r = Math.abs(value - y[j]!);
      return sum + (r <= delta ? r ** 2 / 2 : delta * (r - delta / 2));
    }, 0),
    z.map((value, j) => Math.min(delta, Math.max(-delta, value - y[j]!))),
  ],
  softmaxCrossEntropy: (z, y) => {
    if (y.length > 1) return crossEntropy(z, y);
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
  poisson: (z, y) => [
    z.reduce((sum, value, j) => sum + Math.exp(value) - y[j]! * value, 0),
    z.map((value, j) => Math.exp(value) - y[j]!),
  ],
};

/** −Σ y·log p and its gradient p − y, for y that sum to 1. */
function crossEntropy(z: number[], y: ArrayLike<number>): [number, number[]] {
  const top = Math.max(...z);
  const logTotal = Math.log(z.reduce((sum, value) => sum + Math.exp(value - top), 0)) + top;
  return [
    z.reduce((sum, value, j) => sum + y[j]! * (logTotal - value), 0),
    z.map((value, j) => Math.exp(value - logTotal) - y[j]!),
  ];
}

const lossOf = ({ loss, huberDelta = 1 }: Network, z: number[], { y, weight = 1 }: ReferenceRow) => {
  const [value, gradient] = losses[loss](z, y, huberDelta);
  return { value: weight * value, gradient: gradient.map((g) => weight * g) };
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

/** Loss and gradient summed over the rows, each times its weight. */
export function referenceGradient(network: Network, theta: ArrayLike<number>, rows: readonly ReferenceRow[]) {
  const gradient = new Float64Array(theta.length);
  let loss = 0;
  for (const row of rows)
    addPulledBack(gradient, network, theta, row.x, (outputs) => {
      const atOutputs = lossOf(network, outputs, row);
      loss += atOutputs.value;
      return atOutputs.gradient;
    });
  return { loss, gradient };
}

/** Adds Jᵀ·u to `sum`, with J the derivative of a row's outputs ŷ in θ and u = `cotangent`(ŷ). */
function addPulledBack(
  sum: Float64Array,
  network: Network,
  theta: ArrayLike<number>,
  x: ArrayLike<number>,
  cotangent: (outputs: number[]) => ArrayLike<number>,
): void {
  const tape = new Tape();
  const parameters = Array.from(theta, (value) => tape.node(value));
  const { values } = outputsOf(tape, network, parameters, x);
  const seeds = cotangent(values.map(({ value }) => value));
  for (const [j, scalar] of values.entries()) scalar.grad += seeds[j]!;
  tape.backward();
  for (const [i, { grad }] of parameters.entries()) sum[i]! += grad;
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
  return alongLine((t) => referenceGradient(network, moved(theta, v, t), rows).gradient, r);
}

/** Σ Jᵀ·H_L·J·v, the generalised Gauss-Newton product: J·v and H_L·(J·v) by the same differences. */
export function referenceGaussNewtonProduct(
  network: Network,
  theta: ArrayLike<number>,
  rows: readonly ReferenceRow[],
  v: ArrayLike<number>,
  r = 1e-4,
): Float64Array {
  const sum = new Float64Array(theta.length);
  for (const row of rows)
    addPulledBack(sum, network, theta, row.x, (outputs) => {
      const along = alongLine((t) => referenceOutputs(network, moved(theta, v, t), row.x), r);
      return alongLine((t) => lossOf(network, moved(outputs, along, t), row).gradient, r);
    });
  return sum;
}

/** The dense generalised Gauss-Newton matrix, p × p and symmetric. */
export function referenceGaussNewton(
  network: Network,
  theta: ArrayLike<number>,
  rows: readonly ReferenceRow[],
): number[][] {
  return Array.from(theta, (_, i) => {
    const unit = Array.from(theta, (_, j) => (i === j ? 1 : 0));
    return Array.from(referenceGaussNewtonProduct(network, theta, rows, unit));
  });
}

const moved = (from: ArrayLike<number>, v: ArrayLike<number>, t: number) =>
  Array.from(from, (value, i) => value + t * v[i]!);

/** f′(0) by central differences at steps r and 2r, extrapolated. */
function alongLine(f: (t: number) => ArrayLike<number>, r: number): Float64Array {
  const difference = (step: number) => {
    const [ahead, behind] = [f(step), f(-step)];
    return Float64Array.from(ahead, (value, i) => (value - behind[i]!) / (2 * step));
  };
  const [fine, coarse] = [difference(r), difference(2 * r)];
  return fine.map((value, i) => (4 * value - coarse[i]!) / 3);
}

/** ‖a − b‖ / ‖b‖ (‖a − b‖ where b is zero). */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const norm = (values: number[]) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(Array.from(a, (value, i) => value - b[i]!)) / (norm(Array.from(b)) || 1);
}
