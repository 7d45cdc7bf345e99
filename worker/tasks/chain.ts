import { labelWidth } from '../../datasets/rows.js';
import { type Manifest, totalWeight } from '../../protocol/dataset.js';
import { ShapeMismatchError } from '../../protocol/errors.js';
import { l2Diagonal } from '../../protocol/model.js';
import { draw, generator, permutation } from '../../protocol/random.js';
import { rowsOf, type Batch } from '../curvature/batch.js';
import { finiteDifference } from '../curvature/finite-difference.js';
import { linearize } from '../curvature/linearization.js';
import { runLissa, type Minibatch } from '../curvature/lissa-step.js';
import type { BoundNetwork } from '../curvature/network.js';
import { cutColumns, prepareSlabs, productOfSlabs } from '../curvature/slabs.js';
import type { Engine } from '../engines/engine.js';
import { rowsOfShard, type ThreadOperator } from '../thread-operator.js';
import type { ChainInput, OpenInput, Sums } from '../thread-messages.js';

/** One LiSSA chain through minibatches of one shard: the new state, K × p float32. */
export async function runChain<T>(
  engine: Engine<T>,
  operator: ThreadOperator<T>,
  input: ChainInput,
): Promise<Sums> {
  const bound = operator.moveTo(input.point);
  const { manifest, hvp, leafRows, network } = operator.input;
  const shard = { shard: input.shard, from: 0, to: manifest.shards[input.shard]!.rows };
  const minibatches = cutMinibatches(shard.to, input);
  const { state, rhs, count, shrink, scale } = input;
  if (hvp.mode === 'finite-difference' || leafRows < shard.to) {
    const multiply = (rows: Batch, vectors: Float32Array) =>
      hvp.mode === 'exact'
        ? productByParts(engine, operator, bound, rows, vectors, count)
        : finiteDifference(engine, network, input.point.parameters, rows, vectors, count, hvp.step);
    const batch = await operator.batch(shard);
    return { nodes: [], values: await runOnHost(operator.input, batch, minibatches, input, multiply) };
  }
  const options = { shrink, scale, rowWeight: meanWeight(manifest) };
  const size = state.length / count;
  const slabs = cutColumns(count, operator.columnsFor(Math.min(input.batchSize, shard.to)));
  const values = new Float32Array(state.length);
  await operator.withLinearization(shard, async (linearization) => {
    // The right-hand sides of a chain know nothing of each other.
    for (const { from, to } of slabs) {
      const own = (block: Float32Array) => block.subarray(from * size, to * size);
      const of = [own(state), own(rhs), to - from] as const;
      own(values).set((await runLissa(engine, linearization, ...of, minibatches, options)).state);
    }
  });
  return { nodes: [], values };
}

/**
 * A request whose leaves are smaller than the shard bounds what is linearized at once: `leafRows` rows, for one product.
 * Whether that is so must not depend on the worker's memory, as the last bits do on it.
 */
async function productByParts<T>(
  engine: Engine<T>,
  operator: ThreadOperator<T>,
  bound: BoundNetwork<T>,
  batch: Batch,
  vectors: Float32Array,
  count: number,
): Promise<Float64Array> {
  const { leafRows, curvature, manifest } = operator.input;
  const sums = new Float64Array(vectors.length);
  const slabs = prepareSlabs(
    engine,
    bound,
    vectors,
    count,
    operator.columnsFor(Math.min(leafRows, batch.rows)),
  );
  try {
    for (let from = 0; from < batch.rows; from += leafRows) {
      const to = Math.min(batch.rows, from + leafRows);
      const part = rowsOfShard(batch, manifest.features.width, labelWidth(manifest.labels), from, to);
      const linearization = linearize(engine, bound, part, curvature);
      try {
        const values = await productOfSlabs(engine, linearization, slabs);
        for (let i = 0; i < sums.length; i++) sums[i]! += values[i]!;
      } finally {
        engine.dispose(linearization.held);
      }
    }
  } finally {
    engine.dispose(slabs.flatMap(({ held }) => held));
  }
  return sums;
}

/**
 * The shard's rows in the order of (seeds), or as many drawn with replacement, cut into minibatches; the last may be short
 * and weighs what it has. Of these, first…end−1.
 */
export function cutMinibatches(
  rows: number,
  {
    batchSize,
    sampling,
    first,
    end,
    seeds,
  }: Pick<ChainInput, 'batchSize' | 'sampling' | 'first' | 'end' | 'seeds'>,
): Minibatch[] {
  const [seed, ...streams] = seeds;
  const random = generator(seed!, ...streams);
  const order = sampling === 'epoch' ? permutation(rows, random) : draw(rows, rows, random);
  const size = Math.min(batchSize, rows);
  const count = Math.ceil(rows / size);
  if (end > count || first >= end)
    throw new ShapeMismatchError(`minibatches ${first}…${end - 1} of a shard that has ${count}`);
  return Array.from({ length: end - first }, (_, i) => {
    const indices = order.subarray((first + i) * size, (first + i + 1) * size);
    return { indices, weight: indices.length / size };
  });
}

/** Of a row of the dataset: a minibatch is an unbiased sample of the weighted mean if it is divided by that. */
const meanWeight = (manifest: Manifest) => totalWeight(manifest) / manifest.rows;

/** The same recursion with its state on the host: `multiply` sums the curvature of some rows times K vectors. */
export async function runOnHost(
  { network, manifest }: OpenInput,
  batch: Batch,
  minibatches: readonly Minibatch[],
  { state, rhs, shrink, scale }: ChainInput,
  multiply: (rows: Batch, vectors: Float32Array) => Promise<Float32Array | Float64Array>,
): Promise<Float32Array> {
  const l2 = l2Diagonal(network);
  let current = Float32Array.from(state);
  for (const { indices, weight } of minibatches) {
    const curvature = await multiply(rowsOf(batch, indices), current);
    current = current.map((s, i) => {
      const hs = curvature[i]! / (indices.length * meanWeight(manifest)) + l2[i % l2.length]! * s;
      return (1 - weight) * s + weight * (rhs[i]! + shrink * s - hs / scale);
    });
  }
  return current;
}
