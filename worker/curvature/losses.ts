import type { Loss, Network } from '../../protocol/model.js';
import type { Operations } from '../engines/operations.js';
import { mulEachTangent } from './layer.js';

/** The Hessian of each row's loss in that row's outputs: what the tangent pass needs of a loss. */
export interface OutputHessian<T> {
  /** Tensors that it keeps, rows first. */
  readonly held: readonly T[];
  /** As those of a layer: where one differs between two points, the loss has a kink or its gradient has one. */
  readonly pieces: readonly T[];
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

export type LossDescription = Pick<Network, 'loss' | 'huberDelta'>;

type Evaluate = <T>(ops: Operations<T>, outputs: T, labels: T, description: LossDescription) => LossValues<T>;

const evaluations: Record<Loss, Evaluate> = {
  /** ℓ = Σⱼ(ŷⱼ − yⱼ)² */
  squaredError(ops, outputs, labels) {
    const residual = ops.sub(outputs, labels);
    const hessian = <U>(of: Operations<U>): OutputHessian<U> => ({
      held: [],
      pieces: [],
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
   * ℓ = Σⱼ h(rⱼ), r = ŷ − y: h = r²/2 where |r| ≤ δ, else δ·(|r| − δ/2) (Huber 1964). With c = r clipped to ±δ:
   * h = c²/2 + δ·(|r| − |c|), h′ = c, h″ = 1 where |r| ≤ δ, else 0.
   */
  huber(ops, outputs, labels, { huberDelta: delta = 1 }) {
    const threshold = ops.fill([1, 1], delta);
    const residual = ops.sub(outputs, labels);
    const above = ops.step(ops.sub(residual, threshold));
    const below = ops.step(ops.scale(ops.add(residual, threshold), -1));
    const inside = ops.sub(ops.fill([1, 1], 1), ops.add(above, below));
    const within = ops.mul(inside, residual);
    const side = ops.sub(above, below);
    // side·r is |r| where the residual is clipped, else 0.
    const linear = ops.mul(ops.mul(side, side), ops.sub(ops.mul(side, residual), ops.scale(threshold, 0.5)));
    const rowValues = ops.add(ops.scale(ops.mul(within, within), 0.5), ops.scale(linear, delta));
    return {
      rowLosses: ops.sum(rowValues, 1),
      gradient: ops.add(within, ops.scale(side, delta)),
      hessian: diagonalHessian(ops, inside, true),
    };
  },

  /**
   * ℓ = log Σⱼ exp(ŷⱼ) − Σⱼ yⱼ·ŷⱼ for labels that sum to 1, one-hot or not. ∇ℓ = p − y is written
   * p·(1 − y) − y·(1 − p), with 1 − p of a class with p > ½ as the sum of the others: that keeps its relative
   * precision when p is almost one-hot, where p − y has none.
   */
  softmaxCrossEntropy(ops, outputs, labels) {
    const one = ops.fill([1, 1], 1);
    const shifted = ops.sub(outputs, ops.max(outputs, 1));
    const exponentials = ops.exp(shifted);
    const total = ops.sum(exponentials, 1);
    const probabilities = ops.div(exponentials, total);
    const anchor = ops.step(ops.sub(probabilities, ops.scale(one, 0.5)));
    const ofOthers = ops.mul(probabilities, ops.sub(one, anchor));
    const complement = ops.add(
      ops.mul(ops.sub(one, anchor), ops.sub(one, probabilities)),
      ops.mul(anchor, ops.sum(ofOthers, 1)),
    );
    return {
      rowLosses: ops.sub(ops.log(total), ops.sum(ops.mul(shifted, labels), 1)),
      gradient: ops.sub(ops.mul(probabilities, ops.sub(one, labels)), ops.mul(labels, complement)),
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

  /** ℓ = Σⱼ exp(ŷⱼ) − yⱼŷⱼ, the Poisson likelihood but for log y!; float32 holds it up to ŷ = 88. */
  poisson(ops, outputs, labels) {
    const rates = ops.exp(outputs);
    return {
      rowLosses: ops.sum(ops.sub(rates, ops.mul(labels, outputs)), 1),
      gradient: ops.sub(rates, labels),
      hessian: diagonalHessian(ops, rates),
    };
  },
};

/** Diag(curvatures) a row; `piecewise` says that they are constant between kinks of the gradient. */
function diagonalHessian<T>(ops: Operations<T>, curvatures: T, piecewise = false): OutputHessian<T> {
  return {
    held: [curvatures],
    pieces: piecewise ? [curvatures] : [],
    multiply: (tangent) => mulEachTangent(ops, curvatures, tangent),
    selectRows: (indices) => diagonalHessian(ops, ops.gatherRows(curvatures, indices), piecewise),
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
    pieces: [],
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

/** wᵢ times the loss of row i: `weights` is b × 1. */
function weighted<T>(ops: Operations<T>, loss: LossValues<T>, weights: T): LossValues<T> {
  return {
    rowLosses: ops.mul(loss.rowLosses, weights),
    gradient: ops.mul(loss.gradient, weights),
    hessian: weightedHessian(ops, loss.hessian, weights),
  };
}

function weightedHessian<T>(ops: Operations<T>, hessian: OutputHessian<T>, weights: T): OutputHessian<T> {
  return {
    held: [...hessian.held, weights],
    pieces: hessian.pieces,
    multiply: (tangent) => ops.mul(hessian.multiply(tangent), weights),
    selectRows: (indices) =>
      weightedHessian(ops, hessian.selectRows(indices), ops.gatherRows(weights, indices)),
  };
}

/**
 * Loss, gradient and Hessian at the outputs, a row at a time: nothing is averaged. `outputs` and `labels` are b × m;
 * `softmaxCrossEntropy` takes the labels as distributions, class ids one-hot. `weights`, b × 1, multiply each row's
 * loss and all its derivatives.
 */
export function evaluateLoss<T>(
  ops: Operations<T>,
  description: LossDescription,
  outputs: T,
  labels: T,
  weights?: T,
): LossValues<T> {
  const loss = evaluations[description.loss](ops, outputs, labels, description);
  return weights === undefined ? loss : weighted(ops, loss, weights);
}
