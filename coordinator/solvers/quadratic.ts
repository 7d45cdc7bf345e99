import type { Operator } from './types.js';
import { dot } from './vectors.js';

/** As SciPy counts: distinct points that f, and that ∇f, were asked for at; products with the Hessian. */
export interface Evaluations {
  function: number;
  gradient: number;
  hessian: number;
}

/** f(x) = ½xᵀAx − vᵀx and ∇f(x) = Ax − v, both of one product that is kept for the last point. */
export class Quadratic {
  readonly evaluations: Evaluations = { function: 0, gradient: 0, hessian: 0 };
  readonly v: Float64Array;
  /** A, for products that are no evaluation. */
  readonly hessian: Operator;
  #point: { x: Float64Array; value: number; gradient: Float64Array } | undefined;
  #counted = { function: false, gradient: false };

  constructor(hessian: Operator, v: Float64Array) {
    this.hessian = hessian;
    this.v = v;
  }

  get size(): number {
    return this.hessian.size;
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
      const gradient = await this.hessian.multiply(x, 1);
      const value = dot(gradient, x) / 2 - dot(this.v, x);
      for (let i = 0; i < gradient.length; i += 1) gradient[i]! -= this.v[i]!;
      point = this.#point = { x, value, gradient };
      this.#counted = { function: false, gradient: false };
    }
    if (!this.#counted[what]) this.evaluations[what] += 1;
    this.#counted[what] = true;
    return point;
  }
}
