import type { Loss } from '../../protocol/model.js';
import type { Operations } from '../engines/operations.js';
import { mulEachTangent } from './layer.js';

/** The Hessian of each row's loss in that row's outputs: what the tangent pass needs of a loss. */
export interface OutputHessian<T> {
  /** Tensors that it keeps, rows first. */
  readonly held: readonly T[];
  /** b × (K·m) to b × (K·m): for each row and each of its K tangents, ∇²ℓ times the tangent. */
  multiply(tangent: T): T;
  /** The same for some of the rows. */
  selectRows(indices: Int32Array): OutputHessian<T>;
}

export interface LossValues<T> {
  /** b × 1 */
  rowLosses: T;
  /** b × m: ∇ℓ of each row in its outputs. */
  gradient: T;
  hessian: OutputHessian<T>;
}

type Evaluate = <T>(ops: Operations<T>, outputs: T, labels: T) => LossValues<T>;

const evaluations: Record<Loss, Evaluate> = {
  /** ℓ = Σⱼ(ŷⱼ − yⱼ)² */
  squaredError(ops, outputs, labels) {
    const residual = ops.sub(outputs, labels);
    const hessian = <U>(of: Operations<U>): OutputHessian<U> => ({
      held: [],
      multiply: (tangent) => of.scale(tangent, 2),
      selectRows: () => hessian(of),
    });
    return {
      rowLosses: ops.sum(ops.mul(residual, residual), 1),
      gradient: ops.scale(residual, 2),
      hessian: hessian(ops),
    };
  },

  /**
   * ℓ = log Σⱼ exp(ŷⱼ) − ŷ_y, labels one-hot. The gradient's entry of the true class is −Σ of the others, which
   * keeps its relative precision when p_y is almost 1, where p_y − 1 has none.
   */
  softmaxCrossEntropy(ops, outputs, labels) {
    const shifted = ops.sub(outputs, ops.max(outputs, 1));
    const exponentials = ops.exp(shifted);
    const total = ops.sum(exponentials, 1);
    const probabilities = ops.div(exponentials, total);
    const others = ops.sub(probabilities, ops.mul(probabilities, labels));
    return {
      rowLosses: ops.sub(ops.log(total), ops.sum(ops.mul(shifted, labels), 1)),
      gradient: ops.sub(others, ops.mul(labels, ops.sum(others, 1))),
      hessian: softmaxHessian(ops, probabilities),
    };
  },

  /** ℓ = Σⱼ log(1 + exp ŷⱼ) − yⱼŷⱼ; ∇ℓ = (1 − y)·σ(ŷ) − y·σ(−ŷ), which is σ(ŷ) − y without its cancellation. */
  sigmoidCrossEntropy(ops, outputs, labels) {
    const mirroredOutputs = ops.scale(outputs, -1);
    const probability = ops.sigmoid(outputs);
    const complement = ops.sigmoid(mirroredOutputs);
    const otherLabels = ops.sub(ops.fill([1, 1], 1), labels);
    // Each of the two terms is small where its logit is right, so that small losses keep their precision.
    const losses = ops.add(
      ops.mul(labels, ops.softplus(mirroredOutputs)),
      ops.mul(otherLabels, ops.softplus(outputs)),
    );
    return {
      rowLosses: ops.sum(losses, 1),
      gradient: ops.sub(ops.mul(otherLabels, probability), ops.mul(labels, complement)),
      hessian: diagonalHessian(ops, ops.mul(probability, complement)),
    };
  },
};

/** Diag(curvatures) a row. */
function diagonalHessian<T>(ops: Operations<T>, curvatures: T): OutputHessian<T> {
  return {
    held: [curvatures],
    multiply: (tangent) => mulEachTangent(ops, curvatures, tangent),
    selectRows: (indices) => diagonalHessian(ops, ops.gatherRows(curvatures, indices)),
  };
}

/**
 * (Diag(p) − p·pᵀ)·u = p ⊙ (u − p·u). As this Hessian maps constant vectors to zero, u may be shifted first; by its
 * entry at the class with p > ½, if there is one, which keeps relative precision when p is almost one-hot.
 */
function softmaxHessian<T>(ops: Operations<T>, probabilities: T): OutputHessian<T> {
  const [rows, classes] = ops.shape(probabilities) as [number, number];
  const p = ops.reshape(probabilities, [rows, 1, classes]);
  const anchor = ops.step(ops.sub(p, ops.fill([1, 1, 1], 0.5)));
  return {
    held: [probabilities, p, anchor],
    multiply(tangent) {
      const shape = ops.shape(tangent);
      const u = ops.reshape(tangent, [rows, shape[1]! / classes, classes]);
      const shifted = ops.sub(u, ops.sum(ops.mul(anchor, u), 2));
      const weighted = ops.mul(p, shifted);
      const product = ops.sub(weighted, ops.mul(p, ops.sum(weighted, 2)));
      return ops.reshape(product, shape);
    },
    selectRows: (indices) => softmaxHessian(ops, ops.gatherRows(probabilities, indices)),
  };
}

/**
 * Loss, gradient and Hessian at the outputs, a row at a time: nothing is averaged. `outputs` and `labels` are b × m;
 * `softmaxCrossEntropy` takes the labels one-hot.
 */
export function evaluateLoss<T>(ops: Operations<T>, name: Loss, outputs: T, labels: T): LossValues<T> {
  return evaluations[name](ops, outputs, labels);
}
