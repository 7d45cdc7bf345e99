import type { Curvature } from '../../../protocol/requests.js';
import {
  evaluate,
  linearize,
  prepareTangent,
  product,
  rowDerivatives,
  selectRows,
} from '../../../worker/curvature/linearization.js';
import type { Linearization } from '../../../worker/curvature/linearization.js';
import { bindNetwork } from '../../../worker/curvature/network.js';
import { dot, norm, split } from '../../../worker/curvature/vectors.js';
import type { Engine } from '../../../worker/engines/engine.js';
import { LargestErrors } from '../../support/largest-errors.js';
import {
  referenceGaussNewtonProduct,
  referenceGradient,
  referenceHvp,
  relativeError,
} from '../../support/reference.js';
import type { ReferenceRow } from '../../support/reference.js';
import type { Problem } from './problem.js';

export interface CheckOptions {
  curvature?: Curvature;
  /** Right-hand sides, K. */
  count?: number;
  /** Rows whose products are wanted too: each list selects from the rows of the one before it. */
  selections?: readonly (readonly number[])[];
}

/** A network's loss, gradient and products against their float64 values, which are computed once for all engines. */
export class NetworkCheck {
  readonly #problem: Problem;
  readonly #curvature: Curvature;
  readonly #count: number;
  readonly #selections: readonly Int32Array[];
  /** K × p */
  readonly #vectors: Float32Array;
  #answers:
    | { loss: number; gradient: Float64Array; products: Float64Array[][]; derivatives: Float64Array[][] }
    | undefined;

  constructor(problem: Problem, { curvature = 'hessian', count = 1, selections = [] }: CheckOptions = {}) {
    this.#problem = problem;
    this.#curvature = curvature;
    this.#count = count;
    this.#selections = selections.map((rows) => Int32Array.from(rows));
    this.#vectors = problem.uniform(count * problem.parameters.length);
  }

  /** Relative errors, in norm, of products with the first of the right-hand sides, then all of them. */
  async errors<T>(engine: Engine<T>, counts: readonly number[] = [this.#count]) {
    const { network, parameters, batch } = this.#problem;
    const answers = (this.#answers ??= this.#float64());
    const errors = new LargestErrors<'loss' | 'gradient' | 'product' | 'symmetry' | 'rowDerivatives'>();

    const bound = bindNetwork(engine, network, parameters);
    const { loss, gradient } = await evaluate(engine, bound, batch);
    errors.note('loss', relativeError([loss], [answers.loss]));
    errors.note('gradient', relativeError(gradient, answers.gradient));

    const linearizations: Linearization<T>[] = [linearize(engine, bound, batch, this.#curvature)];
    for (const rows of this.#selections)
      linearizations.push(selectRows(engine, linearizations.at(-1)!, rows));
    for (const count of counts) {
      const vectors = this.#vectors.subarray(0, count * parameters.length);
      const tangent = prepareTangent(engine, bound, vectors, count);
      for (const [index, linearization] of linearizations.entries()) {
        const products = split(await product(engine, linearization, tangent), count);
        for (const [k, found] of products.entries())
          errors.note('product', relativeError(found, answers.products[index]![k]!));
        const derivatives = await rowDerivatives(engine, linearization, tangent);
        for (let k = 0; k < count; k += 1)
          errors.note(
            'rowDerivatives',
            relativeError(
              derivatives.filter((_, at) => at % count === k),
              answers.derivatives[index]![k]!,
            ),
          );
        if (count > 1) errors.note('symmetry', asymmetry(split(vectors, count), products));
      }
      engine.dispose(tangent.held);
    }
    engine.dispose([...linearizations.flatMap(({ held }) => held), ...bound.held]);
    return errors.of;
  }

  #float64() {
    const { network, parameters, referenceRows } = this.#problem;
    let rows: readonly ReferenceRow[] = referenceRows;
    const selected = this.#selections.map((indices) => (rows = Array.from(indices, (row) => rows[row]!)));
    const multiply = this.#curvature === 'hessian' ? referenceHvp : referenceGaussNewtonProduct;
    const products = [referenceRows, ...selected].map((some) =>
      split(this.#vectors, this.#count).map((v) => multiply(network, parameters, some, v)),
    );
    const derivatives = [referenceRows, ...selected].map((some) => {
      const gradients = some.map((row) => referenceGradient(network, parameters, [row]).gradient);
      return split(this.#vectors, this.#count).map((v) =>
        Float64Array.from(gradients, (gradient) =>
          v.reduce((sum, value, i) => sum + value * gradient[i]!, 0),
        ),
      );
    });
    return { ...referenceGradient(network, parameters, referenceRows), products, derivatives };
  }
}

/** |uᵀHv − vᵀHu| ÷ ‖u‖·‖Hv‖ of the first two. */
function asymmetry([u, v]: readonly Float32Array[], [hu, hv]: readonly Float32Array[]): number {
  return Math.abs(dot(u!, hv!) - dot(v!, hu!)) / (norm(u!) * norm(hv!) || 1);
}
