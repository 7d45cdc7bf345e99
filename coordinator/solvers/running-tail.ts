import type { ChainState } from './chains.js';
import { addScaled } from './vectors.js';

interface Mark {
  state: ChainState;
  /** Steps up to here. */
  steps: number;
}

/**
 * The last half to three quarters of a run of unknown length, as a mean over its states (tail averaging of
 * Polyak–Ruppert type: Ruppert 1988, Polyak & Juditsky 1992) and as the change over it.
 *
 * A step adds w·(V − A_t S_t/scale) to S, A_t a minibatch's H + λI. So the change of S over T steps, divided by T, is the
 * mean residual of the iterates in between, and that is the residual of their mean, V − A·S̄/scale, but for the noise of the
 * minibatches, of which a mean over half the run has little. It is known without any product.
 */
export class RunningTail {
  readonly averages: boolean;
  #steps = 0;
  #state: ChainState;
  /** Two marks, the later one at least at half the steps of now; the tail begins at the earlier one. */
  #marks: [Mark, Mark];
  /** Σ steps·state since each mark up to the next. */
  #sums: [Float64Array, Float64Array] | undefined;

  constructor(start: ChainState, averages: boolean) {
    this.averages = averages;
    this.#state = start;
    const mark = { state: start, steps: 0 };
    this.#marks = [mark, mark];
    this.#sums = averages ? [new Float64Array(start.length), new Float64Array(start.length)] : undefined;
  }

  /** The state after `steps` more steps. The array is kept. */
  add(state: ChainState, steps: number): void {
    this.#steps += steps;
    this.#state = state;
    if (this.#sums) addScaled(this.#sums[1], steps, state);
  }

  /** Lets the tail begin later where the run has doubled since the later mark. Call it once after each `add`. */
  turn(): void {
    if (this.#steps < 2 * this.#marks[1].steps) return;
    this.#marks = [this.#marks[1], { state: this.#state, steps: this.#steps }];
    if (this.#sums) this.#sums = [this.#sums[1], this.#sums[0].fill(0)];
  }

  /** The change of the state over the tail, and the steps that it took. */
  change(): { change: Float64Array; steps: number } {
    const change = Float64Array.from(this.#state);
    addScaled(change, -1, this.#marks[0].state);
    return { change, steps: this.#steps - this.#marks[0].steps };
  }

  /** The mean of the states of the tail, each counted by the steps that led to it. @throws Error unless it averages */
  mean(): Float64Array {
    if (!this.#sums) throw new Error('this tail keeps no sums');
    const steps = this.#steps - this.#marks[0].steps;
    const [earlier, later] = this.#sums;
    return earlier.map((sum, i) => (sum + later[i]!) / steps);
  }
}
