import * as tf from '@tensorflow/tfjs';
import type { Executed } from './rule.js';
import { ruleOf } from './gradients/verified.js';

/**
 * The kernels that ran on watched tensors and on what came of them, in order. Everything named by the tape is kept
 * from tidying until `dispose`.
 */
export class Tape {
  #executed: Executed[] = [];
  #dependent = new Set<number>();
  #dependentData = new WeakSet<object>();
  #held = new Set<tf.Tensor>();
  #pieces: tf.Tensor[] = [];

  /** Follows what is computed from these; they stay their owner's. */
  watch(tensors: readonly tf.Tensor[]): void {
    for (const tensor of tensors) this.#mark(tensor);
  }

  /** Watches a tensor and keeps it like those of the kernels. */
  own(tensor: tf.Tensor): void {
    this.#mark(tensor);
    this.#hold(tensor);
  }

  depends(tensor: tf.Tensor): boolean {
    return this.#dependent.has(tensor.id);
  }

  /** Whether a followed tensor has these data: another tensor with them has left the trace. */
  dependsOnData(dataId: object): boolean {
    return this.#dependentData.has(dataId);
  }

  record(executed: Executed): void {
    this.#executed.push(executed);
    for (const tensor of [...Object.values(executed.inputs), ...executed.outputs]) this.#hold(tensor);
    for (const output of executed.outputs) this.#mark(output);
  }

  /** A piecewise constant result of what is followed: where it changes, the loss has a kink. */
  recordPiece(piece: tf.Tensor): void {
    this.#pieces.push(piece);
    this.#hold(piece);
  }

  get pieces(): readonly tf.Tensor[] {
    return this.#pieces;
  }

  /**
   * Σ over `outputs` of seedᵀ·∂output/∂input for each of `inputs`; undefined where nothing depends on it. One sweep
   * from the last kernel to the first: recorded in its turn, if a recording is under way.
   */
  backward(
    outputs: readonly tf.Tensor[],
    seeds: readonly tf.Tensor[],
    inputs: readonly tf.Tensor[],
  ): (tf.Tensor | undefined)[] {
    const gradients = new Map<number, tf.Tensor>();
    const add = (tensor: tf.Tensor, gradient: tf.Tensor) => {
      const sum = gradients.get(tensor.id);
      gradients.set(tensor.id, sum ? tf.add(sum, gradient) : gradient);
    };
    for (const [index, output] of outputs.entries()) add(output, seeds[index]!);
    // What the sweep itself records comes after the kernels that it walks.
    for (let index = this.#executed.length - 1; index >= 0; index--) {
      const executed = this.#executed[index]!;
      const dy = executed.outputs.map((output) => gradients.get(output.id));
      if (dy.every((gradient) => gradient === undefined)) continue;
      const rule = ruleOf(executed.kernel)!;
      const filled = dy.map((gradient, i) => gradient ?? tf.zerosLike(executed.outputs[i]!));
      const ofInputs = rule(filled, executed);
      for (const [name, make] of Object.entries(ofInputs)) {
        const input = executed.inputs[name];
        if (input && this.depends(input)) add(input, make());
      }
    }
    return inputs.map((input) => gradients.get(input.id));
  }

  /** Forgets the kernels whose results none of `outputs` depends on, and frees what only they named. */
  keepOnly(outputs: readonly tf.Tensor[]): void {
    const needed = new Set(outputs.map(({ id }) => id));
    const kept: Executed[] = [];
    for (const executed of this.#executed.toReversed()) {
      if (!executed.outputs.some(({ id }) => needed.has(id))) continue;
      kept.unshift(executed);
      for (const input of Object.values(executed.inputs)) needed.add(input.id);
    }
    this.#executed = kept;
    this.#pieces = [];
    const named = new Set(kept.flatMap(({ inputs, outputs: made }) => [...Object.values(inputs), ...made]));
    for (const tensor of outputs) named.add(tensor);
    const freed = [...this.#held].filter((tensor) => !named.has(tensor));
    this.#held = new Set([...this.#held].filter((tensor) => named.has(tensor)));
    tf.dispose(freed);
  }

  /** Bytes of the data that the tape keeps alive. */
  get bytes(): number {
    const sizes = new Map([...this.#held].map((tensor) => [tensor.dataId, 4 * tensor.size]));
    return [...sizes.values()].reduce((sum, size) => sum + size, 0);
  }

  dispose(): void {
    tf.dispose([...this.#held]);
    this.#held.clear();
    this.#executed = [];
    this.#pieces = [];
  }

  #mark(tensor: tf.Tensor): void {
    this.#dependent.add(tensor.id);
    this.#dependentData.add(tensor.dataId);
  }

  /** A tensor that is kept already belongs to someone else. */
  #hold(tensor: tf.Tensor): void {
    if (tensor.kept) return;
    tf.keep(tensor);
    this.#held.add(tensor);
  }
}
