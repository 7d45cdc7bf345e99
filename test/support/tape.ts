/** A float64 scalar that knows what it was computed from: reverse-mode differentiation, one scalar at a time. */
export interface Scalar {
  value: number;
  grad: number;
  from: readonly (readonly [parent: Scalar, partial: number])[];
}

export class Tape {
  readonly #scalars: Scalar[] = [];

  node(value: number, from: Scalar['from'] = []): Scalar {
    const scalar = { value, grad: 0, from };
    this.#scalars.push(scalar);
    return scalar;
  }

  /** Σ wᵢ·aᵢ with constants w. */
  combine(terms: readonly (readonly [Scalar, number])[], constant = 0): Scalar {
    return this.node(
      terms.reduce((sum, [a, weight]) => sum + weight * a.value, constant),
      terms,
    );
  }

  /** c + Σ aᵢ·bᵢ */
  products(pairs: readonly (readonly [Scalar, Scalar])[], c?: Scalar): Scalar {
    return this.node(
      pairs.reduce((sum, [a, b]) => sum + a.value * b.value, c?.value ?? 0),
      [
        ...pairs.flatMap(([a, b]) => [[a, b.value] as const, [b, a.value] as const]),
        ...(c ? [[c, 1] as const] : []),
      ],
    );
  }

  /** f(a), where f tells its value and its derivative. */
  map(a: Scalar, [value, slope]: readonly [number, number]): Scalar {
    return this.node(value, [[a, slope]]);
  }

  /** Adds to every `grad`, from the ones that were set. */
  backward(): void {
    for (const { grad, from } of this.#scalars.reverse())
      for (const [parent, partial] of from) parent.grad += partial * grad;
  }
}
