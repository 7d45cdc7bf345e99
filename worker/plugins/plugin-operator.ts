import type * as tf from '@tensorflow/tfjs';
import { labelWidth } from '../../datasets/rows.js';
import { UnsupportedError } from '../../protocol/errors.js';
import type { SelfCheck } from '../../protocol/jobs.js';
import { cutLeaves, type Leaf } from '../../protocol/leaves.js';
import { pluginLayout, type PluginNetwork } from '../../protocol/plugin-model.js';
import { TreeSum } from '../../protocol/reduction.js';
import { rowsOf, type Batch } from '../curvature/batch.js';
import { displaced } from '../curvature/displaced.js';
import type { Engine } from '../engines/engine.js';
import type { ShardClient } from '../shard-client.js';
import { cutMinibatches, runOnHost } from '../tasks/chain.js';
import { overMinibatch } from '../tasks/multiply-rows.js';
import { nodeSums } from '../tasks/node-sums.js';
import { rowGradients } from '../tasks/row-gradients.js';
import { rowsOfShard, type Budget } from '../thread-operator.js';
import type {
  ChainInput,
  LinearizeInput,
  MultiplyInput,
  MultiplyRowsInput,
  OpenInput,
  RowGradientsInput,
  Sums,
  ThreadPoint,
} from '../thread-messages.js';
import {
  bindObjective,
  evaluate,
  linearize,
  lossAndGradient,
  product,
  type BoundObjective,
  type PluginLinearization,
} from './linearization.js';
import { findObjective, type Objective, type Objectives } from './objective.js';
import { selfCheckObjective } from './self-check.js';

/** One operator of a user's loss function in one thread: its tasks, and the linearizations that the budget allows. */
export class PluginOperator {
  readonly input: OpenInput<PluginNetwork>;
  readonly #leaves: readonly Leaf[];
  readonly #layout: ReturnType<typeof pluginLayout>;
  readonly #objective: Objective;
  #point: { id: number; bound: BoundObjective } | undefined;
  #kept = new Map<string, { linearization: PluginLinearization; bytes: number }>();

  /** @throws UnsupportedError for an objective that this worker has not, or a curvature that a function has not */
  constructor(
    input: OpenInput<PluginNetwork>,
    private readonly engine: Engine<tf.Tensor>,
    objectives: Objectives,
    private readonly shards: ShardClient,
    private readonly budget: Budget,
  ) {
    if (input.curvature !== 'hessian')
      throw new UnsupportedError(`the curvature "${input.curvature}" needs a model of layers and a loss`, {
        hint: 'a loss function of your own has the curvature "hessian"',
      });
    this.input = input;
    this.#leaves = cutLeaves(input.manifest.shards, input.leafRows);
    this.#layout = pluginLayout(input.network.plugin);
    this.#objective = findObjective(objectives, input.network.plugin);
  }

  async linearize({ point, leaves }: LinearizeInput): Promise<Sums> {
    const sum = new TreeSum(this.#leaves.length);
    for (const index of leaves) {
      const { loss, gradient } = await this.#withLinearization(point, this.#leaves[index]!, (linearization) =>
        lossAndGradient(this.engine, linearization),
      );
      const values = new Float64Array(1 + gradient.length);
      values[0] = loss;
      values.set(gradient, 1);
      sum.add({ level: 0, index }, values);
    }
    return nodeSums(sum);
  }

  async check(point: ThreadPoint, leaf: Leaf): Promise<SelfCheck> {
    const { shape } = this.input.network.input;
    const batch = await this.#batch(leaf);
    return selfCheckObjective(this.engine, this.#objective, this.#layout, shape, point.parameters, batch);
  }

  async multiply({ point, leaves, vectors, count }: MultiplyInput): Promise<Sums> {
    const sum = new TreeSum(this.#leaves.length);
    const { hvp } = this.input;
    for (const index of leaves) {
      const leaf = this.#leaves[index]!;
      const values =
        hvp.mode === 'exact'
          ? await this.#withLinearization(point, leaf, (linearization) =>
              product(this.engine, linearization, vectors, count),
            )
          : await this.#differences(point, await this.#batch(leaf), vectors, hvp.step);
      sum.add({ level: 0, index }, values);
    }
    return nodeSums(sum);
  }

  multiplyRows(input: MultiplyRowsInput): Promise<Sums> {
    return overMinibatch(this.#leaves, input, async (leaf, rows) =>
      this.#anew(input.point, rowsOf(await this.#batch(leaf), rows), input.vectors, input.count),
    );
  }

  async chain(input: ChainInput): Promise<Sums> {
    const { manifest } = this.input;
    const shard = { shard: input.shard, from: 0, to: manifest.shards[input.shard]!.rows };
    const batch = await this.#batch(shard);
    const values = await runOnHost(
      this.input,
      batch,
      cutMinibatches(shard.to, input),
      input,
      (rows, vectors) => this.#anew(input.point, rows, vectors, input.count),
    );
    return { nodes: [], values };
  }

  /** A trace cannot be cut by rows: every minibatch is linearized anew. */
  async #anew(point: ThreadPoint, rows: Batch, vectors: Float32Array, count: number): Promise<Float32Array> {
    const { hvp } = this.input;
    if (hvp.mode !== 'exact') return this.#differences(point, rows, vectors, hvp.step);
    const linearization = linearize(this.engine, this.#moveTo(point), rows);
    try {
      return await product(this.engine, linearization, vectors, count);
    } finally {
      linearization.tape.dispose();
    }
  }

  rowGradients(input: RowGradientsInput): Promise<Sums> {
    return rowGradients(this.shards, input, async (row) => {
      const { gradient } = await evaluate(this.engine, this.#moveTo(input.point), row);
      return gradient;
    });
  }

  close(): void {
    for (const { linearization, bytes } of this.#kept.values()) {
      linearization.tape.dispose();
      this.budget.used -= bytes;
    }
    this.#kept.clear();
    if (this.#point) this.engine.dispose(this.#point.bound.held);
    this.#point = undefined;
  }

  #moveTo({ id, parameters }: ThreadPoint): BoundObjective {
    if (this.#point?.id === id) return this.#point.bound;
    this.close();
    const bound = this.#bind(parameters);
    this.#point = { id, bound };
    return bound;
  }

  #bind(parameters: Float32Array): BoundObjective {
    const { shape } = this.input.network.input;
    return bindObjective(this.engine, this.#objective, this.#layout, shape, parameters);
  }

  async #batch({ shard, from, to }: Leaf): Promise<Batch> {
    const { manifest, digest } = this.input;
    const decoded = await this.shards.get(manifest, digest, shard);
    return rowsOfShard(decoded, manifest.features.width, labelWidth(manifest.labels), from, to);
  }

  async #withLinearization<R>(
    point: ThreadPoint,
    leaf: Leaf,
    work: (linearization: PluginLinearization) => Promise<R>,
  ): Promise<R> {
    const bound = this.#moveTo(point);
    const key = `${leaf.shard}:${leaf.from}:${leaf.to}`;
    const known = this.#kept.get(key);
    if (known) return work(known.linearization);
    const linearization = linearize(this.engine, bound, await this.#batch(leaf));
    const { bytes } = linearization.tape;
    if (this.budget.used + bytes <= this.budget.limit) {
      this.#kept.set(key, { linearization, bytes });
      this.budget.used += bytes;
      return work(linearization);
    }
    try {
      return await work(linearization);
    } finally {
      linearization.tape.dispose();
    }
  }

  /** (g(θ + r·v) − g(θ − r·v)) / 2r for each v, subtracted in float64. */
  async #differences({ parameters }: ThreadPoint, batch: Batch, vectors: Float32Array, step: number) {
    const size = parameters.length;
    const gradientAt = async (theta: Float32Array) => {
      const bound = this.#bind(theta);
      try {
        return (await evaluate(this.engine, bound, batch)).gradient;
      } finally {
        this.engine.dispose(bound.held);
      }
    };
    const products = new Float32Array(vectors.length);
    for (let start = 0; start < vectors.length; start += size) {
      const v = vectors.subarray(start, start + size);
      const ahead = await gradientAt(displaced(parameters, v, step));
      const behind = await gradientAt(displaced(parameters, v, -step));
      for (let i = 0; i < size; i++) products[start + i] = (ahead[i]! - behind[i]!) / (2 * step);
    }
    return products;
  }
}
