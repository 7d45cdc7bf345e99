import { ShapeMismatchError } from '../protocol/errors.js';
import { TreeSum, type LeafRange } from '../protocol/reduction.js';
import type { BlockRef, DatasetRef, OperatorSpec, Point, Task, TaskOf } from '../protocol/tasks.js';
import { assign } from './assignment.js';
import type { Farm } from './farm.js';
import { Links, type Sums } from './links.js';
import { isTransient } from './transient.js';

/** Right-hand sides of one task: bounds the workers' intermediate tensors (rows × columns × width). */
const columnsPerTask = 32;
/** Tries in a row without any progress before the machinery's failure is believed: the task itself may be its cause. */
const fruitlessTries = 8;

/** Some rows of the dataset: those that `drawMinibatch` draws from the stream (seeds). */
export interface Minibatch {
  rows: number;
  seeds: number[];
  /** The leaves that they lie in, ascending. */
  leaves: readonly number[];
  /** What sums over them are divided by. */
  weight: number;
}

export interface OperatorShape {
  /** p */
  parameters: number;
  /** n, or the sum of the rows' weights: what sums over rows are divided by. */
  weight: number;
  leaves: number;
  /** Regularisation, a coefficient for each parameter: what the mean Hessian of the rows gains on its diagonal. */
  l2: Float64Array;
}

/**
 * The Hessian (or Gauss-Newton matrix) of the objective Σᵢ wᵢ·ℓᵢ(θ) / Σᵢ wᵢ + Σⱼ (l2ⱼ/2)·θⱼ² over all workers. A product
 * broadcasts V (K × p, float32) once, lets every worker sum its leaves, and adds the partial sums in the canonical tree
 * in float64; then divides by the sum of the weights and adds l2. The bits do not depend on the workers, their number,
 * or who was lost on the way.
 */
export class DistributedOperator {
  readonly shape: OperatorShape;
  /** Products so far: passes over the dataset times right-hand sides. */
  products = 0;
  #spec: OperatorSpec;
  #farm: Farm;
  #links: Links;
  #signal: AbortSignal;
  #point: Point | undefined;
  #points = 0;

  constructor(farm: Farm, spec: OperatorSpec, shape: OperatorShape, signal: AbortSignal) {
    this.#farm = farm;
    this.#spec = spec;
    this.shape = shape;
    this.#signal = signal;
    this.#links = new Links(farm, spec, signal);
  }

  get size(): number {
    return this.shape.parameters;
  }

  get stats() {
    return this.#links.stats;
  }

  close(): void {
    this.#links.close();
  }

  /**
   * Moves the linearization to θ (rounded to float32, as the devices hold it).
   * @returns the objective and its gradient at θ
   */
  async moveTo(theta: Float32Array | Float64Array): Promise<{ value: number; gradient: Float64Array }> {
    const { parameters: p, weight, l2 } = this.shape;
    if (theta.length !== p) throw new ShapeMismatchError(`θ has ${theta.length} values, the model ${p}`);
    const rounded = Float32Array.from(theta);
    const previous = this.#point;
    const point = { id: this.#points++, parameters: await this.#links.broadcast(rounded) };
    this.#point = point;
    if (previous) this.#links.release(previous.parameters.id);
    const { operator } = this.#spec;
    const { loss, gradient } = await this.#sum(
      1 + p,
      0,
      (leaves) => ({ task: 'linearize', operator, point, leaves }),
      (sums) => ({ loss: sums[0]!, gradient: sums.slice(1) }),
    );
    let penalty = 0;
    for (let i = 0; i < p; i++) {
      gradient[i] = gradient[i]! / weight + l2[i]! * rounded[i]!;
      penalty += (l2[i]! / 2) * rounded[i]! ** 2;
    }
    return { value: loss / weight + penalty, gradient };
  }

  /** H·V for a block of `count` vectors (count × p, a vector a row); l2 included, damping not. */
  async multiply(block: Float64Array, count: number): Promise<Float64Array> {
    const result = await this.#multiply(block, count);
    this.products += count;
    return result;
  }

  /** H_B·V, H_B the mean over the rows of a minibatch, l2 included. Costs a round over the farm and no pass over the data. */
  async multiplyRows(
    block: Float64Array,
    count: number,
    minibatch: Minibatch,
    products: number,
  ): Promise<Float64Array> {
    const result = await this.#multiply(block, count, minibatch, products / count);
    this.products += products;
    return result;
  }

  async #multiply(
    block: Float64Array,
    count: number,
    minibatch?: Minibatch,
    each = 1,
  ): Promise<Float64Array> {
    const { parameters: p } = this.shape;
    if (block.length !== count * p)
      throw new ShapeMismatchError(`${block.length} values are not ${count} × ${p}`);
    const result = new Float64Array(block.length);
    for (let first = 0; first < count; first += columnsPerTask) {
      const last = Math.min(count, first + columnsPerTask);
      const [into, of] = [result, block].map((values) => values.subarray(first * p, last * p));
      await this.#multiplyInto(into!, of!, each * (last - first), minibatch);
    }
    return result;
  }

  /** Means over the rows of K-FAC's factors, `width` values for all blocks: see `kroneckerBlocks`. */
  async kroneckerFactors(width: number, seed: number): Promise<Float64Array> {
    const point = this.#requirePoint();
    const { operator } = this.#spec;
    const means = await this.#sum(
      width,
      1,
      (leaves) => ({ task: 'kronecker', operator, point, leaves, seed }),
      (sums) => sums.map((value) => value / this.shape.weight),
    );
    this.products += 1;
    return means;
  }

  /** ∇ℓ of single source rows at the current point, one p-vector each (without l2). */
  async rowGradients(dataset: DatasetRef, rows: number[]): Promise<Float64Array> {
    const point = this.#requirePoint();
    const { operator } = this.#spec;
    const task: Task = { task: 'row-gradients', operator, point, dataset, rows };
    for (let tries = 1; ; tries++) {
      const [first] = await this.#farm.atLeastOne(this.#signal);
      try {
        const { values } = await this.#links.run(first!.id, task, () => rows.length * this.size, 0);
        return Float64Array.from(values);
      } catch (error) {
        if (!isTransient(error) || tries >= fruitlessTries) throw error;
      }
    }
  }

  /** Sends a block to all workers, for tasks until the operator is closed. */
  async share(values: Float32Array): Promise<BlockRef> {
    return this.#links.broadcast(values);
  }

  /**
   * One chain task on one worker. `state` is sent to that worker alone, or is what an earlier task there ends with. Its
   * `products` count for the worker, for the job only if the caller says so: a task may be begun in vain.
   * @param onSent called as the task is sent; what goes on from its end may be sent from then on
   */
  async runChain(
    worker: string,
    task: Omit<TaskOf<'chain'>, 'task' | 'operator' | 'point' | 'state'>,
    state: Float32Array | { after: number },
    products: number,
    onSent: () => void,
  ): Promise<Float32Array | Float64Array> {
    const point = this.#requirePoint();
    const { operator } = this.#spec;
    const from = (sent: TaskOf<'chain'>['state']): Task => {
      onSent();
      return { task: 'chain', operator, point, state: sent, ...task };
    };
    const size = () => task.count * this.size;
    const { values } =
      state instanceof Float32Array
        ? await this.#links.runWith(worker, state, from, size, products)
        : await this.#links.run(worker, from(state), size, products);
    return values;
  }

  /** H·V for a block of vectors that go in one task. */
  async #multiplyInto(
    result: Float64Array,
    block: Float64Array,
    products: number,
    minibatch: Minibatch | undefined,
  ): Promise<void> {
    const { parameters: p, l2 } = this.shape;
    const { weight } = minibatch ?? this.shape;
    const count = block.length / p;
    const point = this.#requirePoint();
    const { operator, hvp } = this.#spec;
    // Differences depend on the vector's size; the exact product does not, and float32 reaches further if it is about 1.
    const factors = rowsOf(block, p).map((row) => (hvp.mode === 'exact' ? powerOfTwo(row) : 1));
    const scaled = new Float32Array(block.length);
    for (const [k, factor] of factors.entries())
      for (let i = k * p; i < (k + 1) * p; i++) scaled[i] = block[i]! * factor;
    const vectors = await this.#links.broadcast(scaled);
    try {
      const common = { operator, point, vectors, count };
      const task = (leaves: LeafRange[]): Task =>
        minibatch
          ? {
              ...{ task: 'multiply-rows', ...common, leaves: leavesAt(minibatch.leaves, leaves) },
              ...{ rows: minibatch.rows, seeds: minibatch.seeds, touched: minibatch.leaves.length },
            }
          : { task: 'multiply', ...common, leaves };
      const read = (sums: Float64Array) => {
        for (const [k, factor] of factors.entries())
          for (let j = 0, i = k * p; j < p; j++, i++)
            result[i] = (sums[i]! * (1 / factor)) / weight + l2[j]! * block[i]!;
      };
      await this.#sum(block.length, products, task, read, minibatch?.leaves.length);
    } finally {
      this.#links.release(vectors.id);
    }
  }

  /**
   * Sums a task's node values over the leaves of a tree; what a lost worker owed goes to the others. `read` takes what it
   * wants of the sums: their memory is used again afterwards.
   */
  async #sum<R>(
    width: number,
    products: number,
    task: (leaves: LeafRange[]) => Task,
    read: (sums: Float64Array) => R,
    treeLeaves = this.shape.leaves,
  ): Promise<R> {
    const sum = new TreeSum(treeLeaves);
    const answers: Sums[] = [];
    for (let fruitless = 0; !sum.complete;) {
      const workers = await this.#farm.atLeastOne(this.#signal);
      const before = covered(sum.missing());
      const failures: unknown[] = [];
      const share = async ([worker, leaves]: [string, LeafRange[]]) => {
        try {
          const counted = (products * covered(leaves)) / treeLeaves;
          const size = (nodes: number) => nodes * width;
          const answer = await this.#links.run(worker, task(leaves), size, counted);
          answers.push(answer);
          const { nodes, values } = answer;
          for (const [i, node] of nodes.entries()) sum.add(node, values.subarray(i * width, (i + 1) * width));
        } catch (error) {
          if (!isTransient(error)) throw error;
          failures.push(error);
        }
      };
      await Promise.all([...assign(sum.missing(), workers)].map(share));
      fruitless = covered(sum.missing()) < before ? 0 : fruitless + 1;
      if (fruitless >= fruitlessTries) throw failures.at(-1);
    }
    const result = read(sum.total());
    for (const { release } of answers) release();
    return result;
  }

  #requirePoint(): Point {
    if (!this.#point) throw new Error('the operator has no point yet: call moveTo first');
    return this.#point;
  }
}

const rowsOf = (block: Float64Array, size: number) =>
  Array.from({ length: block.length / size }, (_, k) => block.subarray(k * size, (k + 1) * size));

/** The power of two that brings the largest value to [1, 2): multiplying by it rounds nothing. */
function powerOfTwo(values: Float64Array): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]!));
  if (!(largest > 0 && Number.isFinite(largest))) return 1;
  // The factor and its inverse have to be float64 numbers.
  return 2 ** -Math.max(-1022, Math.min(1022, Math.floor(Math.log2(largest))));
}

/** The leaves at some places of a list, as ranges. */
function leavesAt(leaves: readonly number[], places: readonly LeafRange[]): LeafRange[] {
  const ranges: LeafRange[] = [];
  for (const { start, end } of places)
    for (const leaf of leaves.slice(start, end)) {
      const last = ranges.at(-1);
      if (last?.end === leaf) last.end++;
      else ranges.push({ start: leaf, end: leaf + 1 });
    }
  return ranges;
}

function covered(ranges: readonly LeafRange[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}
