import { type Manifest, totalWeight } from '../../protocol/dataset.js';
import { l2Diagonal } from '../../protocol/model.js';
import { generator, permutation } from '../../protocol/random.js';
import { rowsOf, type Batch } from '../curvature/batch.js';
import { finiteDifference } from '../curvature/finite-difference.js';
import { runLissa, type Minibatch } from '../curvature/lissa-step.js';
import type { Engine } from '../engines/engine.js';
import type { ThreadOperator } from '../thread-operator.js';
import type { ChainInput, Sums } from '../thread-messages.js';

/** One LiSSA chain through all minibatches of one shard: the new state, K × p float32. */
export async function runChain<T>(
  engine: Engine<T>,
  operator: ThreadOperator<T>,
  input: ChainInput,
): Promise<Sums> {
  operator.moveTo(input.point);
  const { manifest, hvp } = operator.input;
  const shard = { shard: input.shard, from: 0, to: manifest.shards[input.shard]!.rows };
  const minibatches = cutMinibatches(shard.to, input.batchSize, input.seeds);
  if (hvp.mode === 'finite-difference') {
    const values = await runByDifferences(
      engine,
      operator,
      await operator.batch(shard),
      minibatches,
      input,
      hvp.step,
    );
    return { nodes: [], values };
  }
  const { state, rhs, count, shrink, scale } = input;
  const result = await operator.withLinearization(shard, (linearization) =>
    runLissa(engine, linearization, state, rhs, count, minibatches, {
      shrink,
      scale,
      rowWeight: meanWeight(manifest),
    }),
  );
  return { nodes: [], values: result.state };
}

/** The shard's rows in the order of (seeds), cut into minibatches; the last may be short and weighs what it has. */
export function cutMinibatches(rows: number, batchSize: number, seeds: readonly number[]): Minibatch[] {
  const [seed, ...streams] = seeds;
  const order = permutation(rows, generator(seed!, ...streams));
  const size = Math.min(batchSize, rows);
  return Array.from({ length: Math.ceil(rows / size) }, (_, i) => {
    const indices = order.subarray(i * size, (i + 1) * size);
    return { indices, weight: indices.length / size };
  });
}

/** Of a row of the dataset: a minibatch is an unbiased sample of the weighted mean if it is divided by that. */
const meanWeight = (manifest: Manifest) => totalWeight(manifest) / manifest.rows;

/** The same recursion with products by central differences, its state on the host. */
async function runByDifferences<T>(
  engine: Engine<T>,
  operator: ThreadOperator<T>,
  batch: Batch,
  minibatches: readonly Minibatch[],
  { point, state, rhs, count, shrink, scale }: ChainInput,
  step: number,
): Promise<Float32Array> {
  const { network, manifest } = operator.input;
  const l2 = l2Diagonal(network);
  let current = Float32Array.from(state);
  for (const { indices, weight } of minibatches) {
    const rows = rowsOf(batch, indices);
    const curvature = await finiteDifference(engine, network, point.parameters, rows, current, count, step);
    current = current.map((s, i) => {
      const hs = curvature[i]! / (rows.rows * meanWeight(manifest)) + l2[i]! * s;
      return (1 - weight) * s + weight * (rhs[i]! + shrink * s - hs / scale);
    });
  }
  return current;
}
