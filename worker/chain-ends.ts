import { ShapeMismatchError, TimeoutError } from '../protocol/errors.js';

/** Chain tasks whose ends are kept: the one that another goes on from, and one that ran between the two. */
const kept = 2;

/** What a thread's last chain tasks ended with. A chain's next task goes on from there without a way over the main thread. */
export class ChainEnds {
  #ends: { operator: string; id: number; state: Float32Array }[] = [];

  add(operator: string, id: number, state: Float32Array): void {
    this.#ends = [...this.#ends.slice(1 - kept), { operator, id, state }];
  }

  /** @throws TimeoutError where that task failed, was none of this thread's, or ended too long ago: the state has to be sent */
  after(operator: string, id: number, length: number): Float32Array {
    const end = this.#ends.find((other) => other.operator === operator && other.id === id);
    if (!end) throw new TimeoutError(`what chain task ${id} ended with is not here`);
    if (end.state.length !== length)
      throw new ShapeMismatchError(`chain task ${id} ended with ${end.state.length} values, not ${length}`);
    return end.state;
  }

  forget(operator: string): void {
    this.#ends = this.#ends.filter((other) => other.operator !== operator);
  }
}
