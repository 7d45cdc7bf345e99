import { linearRegression, logisticRegression, type MemoryRows } from '../../datasets/synthetic.js';
import type { Network } from '../../protocol/model.js';
import type { Matrix } from './dense.js';

/*
 * Two convex problems with one Hessian each that can be written down: H = (1/n) Σ w(x̃ᵢ) x̃ᵢx̃ᵢᵀ + l2·I, x̃ = (x, 1).
 * 1009 rows, a prime.
 */
export const rows = 1009;

export interface Problem {
  name: string;
  source: MemoryRows;
  network: Network;
  theta: Float32Array;
  hessian: Matrix;
}

const sigma = (z: number) => 1 / (1 + Math.exp(-z));

function problem(
  name: string,
  source: MemoryRows,
  theta: Float32Array,
  network: Pick<Network, 'loss' | 'l2'>,
  weight: (z: number) => number,
): Problem {
  const { width, features } = source;
  const size = width + 1;
  const hessian = Array.from({ length: size }, (_, i) =>
    Array.from({ length: size }, (_, j) => (i === j ? network.l2 : 0)),
  );
  for (let row = 0; row < source.rows; row++) {
    const x = [...features.subarray(row * width, (row + 1) * width), 1];
    const z = x.reduce((sum, value, i) => sum + value * theta[i]!, 0);
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++) hessian[i]![j]! += (weight(z) * x[i]! * x[j]!) / source.rows;
  }
  const layers = [{ type: 'dense', units: 1, useBias: true, activation: 'linear' } as const];
  return { name, source, theta, hessian, network: { input: { shape: [width] }, layers, ...network } };
}

const linear = linearRegression({ rows, width: 12, seed: 1 }, { condition: 30 });
const bias = -3;
const logistic = logisticRegression({ rows, width: 10, seed: 2 }, { bias, condition: 30 });
export const problems = [
  // w = ℓ″ = 2, wherever θ is
  problem('ridge', linear, new Float32Array(13).fill(0.1), { loss: 'squaredError', l2: 0.02 }, () => 2),
  // w = σ(z)σ(−z), at the weights that made the labels; class 1 is about one row in fifteen
  problem(
    'logistic',
    logistic,
    Float32Array.of(...logistic.weights, bias),
    { loss: 'sigmoidCrossEntropy', l2: 0.002 },
    (z) => sigma(z) * sigma(-z),
  ),
];
