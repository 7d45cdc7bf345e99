import { readFileSync } from 'node:fs';
import { networks } from '../../../bench/networks.js';
import { readMnist } from '../../../datasets/read-mnist.js';
import { parameterLayout } from '../../../protocol/model.js';
import type { Network } from '../../../protocol/model.js';
import { TreeSum } from '../../../protocol/reduction.js';
import { linearize, prepareTangent, product } from '../../../worker/curvature/linearization.js';
import { bindNetwork } from '../../../worker/curvature/network.js';
import type { Engine } from '../../../worker/engines/engine.js';

/** By a sum over so many rows of the train set: see test/fixtures/mnist_products.py, which wrote it. */
type Reference = Record<string, { norm: number; projections: number[] }>;
const references = JSON.parse(readFileSync('test/fixtures/mnist_products.json', 'utf8')) as Record<
  string,
  Reference
>;

/** What the project promises: 5e-6 of the norm. The projections' own spread is an eighth of that. */
export const mnistTolerance = 5e-6;
const leafRows = 1000;

export const mnistModels: Record<string, Network> = {
  'softmax regression': networks.softmax,
  MLP: networks.mlp,
  CNN: networks.cnn,
  '1M MLP': networks.large,
};

/** ‖Hv − its float64 value‖ over the norm of the latter, of 32 projections each. */
export async function mnistError<T>(engine: Engine<T>, title: string, rows: number): Promise<number> {
  const network = mnistModels[title]!;
  const { count: p, slices } = parameterLayout(network);
  const parameters = uniform(p, 1);
  for (const { offset, size, shape } of slices) {
    const bound = shape.length === 1 ? 0.1 : glorot(shape);
    for (let i = offset; i < offset + size; i++) parameters[i]! *= bound;
  }
  const bound = bindNetwork(engine, network, Float32Array.from(parameters));
  const tangent = prepareTangent(engine, bound, Float32Array.from(uniform(p, 2)), 1);
  const sum = new TreeSum(rows / leafRows);
  for await (const { features, labels, firstRow } of await readMnist('train')) {
    const batch = { rows: leafRows, features, labels: labels as Int32Array };
    const linearization = linearize(engine, bound, batch);
    sum.add({ level: 0, index: firstRow / leafRows }, await product(engine, linearization, tangent));
    engine.dispose(linearization.held);
    if (sum.complete) break;
  }
  engine.dispose([...tangent.held, ...bound.held]);

  const { norm, projections } = references[title]![rows]!;
  const errors = projections.map((expected) => -expected);
  for (const [i, value] of sum.total().entries()) {
    const signs = noise(i, 3);
    for (let bit = 0; bit < 32; bit++) errors[bit]! += (signs >>> bit) & 1 ? -value : value;
  }
  return Math.sqrt(errors.reduce((total, error) => total + error ** 2, 0) / 32) / norm;
}

/** MurmurHash3's finaliser of index + stream·φ. */
function noise(index: number, stream: number): number {
  let x = (index + stream * 0x9e3779b9) >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

const uniform = (count: number, stream: number) =>
  Float64Array.from({ length: count }, (_, i) => 2 * (noise(i, stream) / 2 ** 32) - 1);

const glorot = (shape: readonly number[]) => {
  const taps = shape.slice(0, -2).reduce((product, length) => product * length, 1);
  return Math.sqrt(6 / (taps * (shape.at(-2)! + shape.at(-1)!)));
};
