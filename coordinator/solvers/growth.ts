/**
 * Tells a chain that diverges from one that converges slowly, by the growth of ‖S‖.
 *
 * Where the recursion S ← V + M_t S (S₀ = V) is a contraction or at least no expansion, ‖M_t‖ ≤ 1, i.e. minibatch
 * Hessians are positive semidefinite and at most (1 + shrink)·scale:
 * 1. ‖S_t‖ ≤ (t + 1)·‖V‖, whatever the minibatches;
 * 2. with one M for all steps, ‖S_t‖ ≤ 2·‖S_u‖ + ‖V‖ for every u between t/2 and t: along an eigenvector with
 *    eigenvalue m ≥ 0 of M, (1−m^(2k))/(1−m) = (1+m^k)·(1−m^k)/(1−m) ≤ 2·(1−m^k)/(1−m); with −1 ≤ m < 0 the sum stays
 *    within [0, 1].
 * So a chain that converges, however slowly, at most doubles its norm (up to ‖V‖) while its steps double; one that
 * diverges multiplies it without bound. The margin of 4 on both is for the noise of minibatches, and for minibatches
 * that are slightly indefinite or above the bound while their mean is not.
 */
export class GrowthGuard {
  static readonly margin = 4;
  readonly #start: number;
  /** (steps, norm) of every state accepted, in order. */
  readonly #seen: { steps: number; norm: number }[];
  /** The first one that may still serve as u. */
  #first = 0;

  constructor(startNorm: number) {
    this.#start = startNorm;
    this.#seen = [{ steps: 0, norm: startNorm }];
  }

  /** The norm of the last state accepted. */
  get lastNorm(): number {
    return this.#seen.at(-1)!.norm;
  }

  /** Accepts the norm after this many steps in all, or returns false: the chain diverges. */
  accept(steps: number, norm: number): boolean {
    while (this.#first < this.#seen.length && this.#seen[this.#first]!.steps < steps / 2) this.#first += 1;
    const earlier = this.#seen[this.#first];
    const bound = Math.min((steps + 1) * this.#start, earlier ? 2 * earlier.norm + this.#start : Infinity);
    if (!(norm <= GrowthGuard.margin * bound)) return false;
    this.#seen.push({ steps, norm });
    return true;
  }
}
