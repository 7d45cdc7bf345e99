import type { Evaluation } from './line-search.js';
import type { Objective } from './newton-descent.js';
import type { Operator } from './types.js';
import { dot } from './vectors.js';

/** f(x) = ½xᵀAx − vᵀx and ∇f(x) = Ax − v, both of one product that is kept for the last point. */
export class Quadratic implements Objective {
  /** Distinct points that f, and that ∇f, were asked for at. */
  readonly evaluations = { function: 0, gradient: 0 };
  readonly #hessian: Operator;
  readonly #v: Float64Array;
  #point: { x: Float64Array; value: number; gradient: Float64Array } | undefined;
  #counted = { function: false, gradient: false };

  constructor(hessian: Operator, v: Float64Array) {
    this.#hessian = hessian;
    this.#v = v;
  }

  get size(): number {
    return this.#hessian.size;
  }

  /** A, for products that are no evaluation. */
  operator(): Operator {
    return this.#hessian;
  }

  async at(x: Float64Array): Promise<Evaluation> {
    await this.value(x);
    return this.#at(x, 'gradient');
  }

  async value(x: Float64Array): Promise<number> {
    return (await this.#at(x, 'function')).value;
  }

  async gradient(x: Float64Array): Promise<Float64Array> {
    return (await this.#at(x, 'gradient')).gradient;
  }

  async #at(x: Float64Array, what: 'function' | 'gradient') {
    let point = this.#point;
    if (!point?.x.every((value, i) => value === x[i])) {
      const gradient = await this.#hessian.multiply(x, 1);
      const value = dot(gradient, x) / 2 - dot(this.#v, x);
      for (let i = 0; i < gradient.length; i += 1) gradient[i]! -= this.#v[i]!;
      point = this.#point = { x, value, gradient };
      this.#counted = { function: false, gradient: false };
    }
    if (!this.#counted[what]) this.evaluations[what] += 1;
    this.#counted[what] = true;
    return point;
  }
}
