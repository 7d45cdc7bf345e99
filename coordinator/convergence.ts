/** Points of a curve that a report keeps, at most. */
const most = 1000;

/** A job's residual against its products, of bounded length: what a report's `convergence` shows. */
export class ConvergenceCurve {
  #points: { products: number; residual: number }[] = [];
  #stride = 1;
  #seen = 0;
  #iteration = -1;

  /** The first residual of each iteration counts; once there are too many, every second point goes. */
  add(iteration: number, products: number, residual: number | undefined): void {
    if (iteration === this.#iteration || residual === undefined || !Number.isFinite(residual)) return;
    this.#iteration = iteration;
    if (this.#seen++ % this.#stride !== 0) return;
    this.#points.push({ products, residual });
    if (this.#points.length < most) return;
    this.#points = this.#points.filter((_, i) => i % 2 === 0);
    this.#stride *= 2;
  }

  /** The curve, with a last point that is always there. */
  end(last?: { products: number; residual: number }): { products: number; residual: number }[] {
    return last && Number.isFinite(last.residual) ? [...this.#points, last] : this.#points;
  }
}
