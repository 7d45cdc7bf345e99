import type { Activation } from '../../protocol/model.js';
import type { Operations } from '../engines/operations.js';

/** φ, φ′ and φ″ at one z, elementwise. An absent second derivative is zero everywhere it exists. */
export interface ActivationValues<T> {
  value: T;
  first: T;
  second: T | undefined;
}

type Evaluate = <T>(ops: Operations<T>, z: T) => ActivationValues<T>;

/** Written with σ(z)·σ(−z) for σ(z)·(1 − σ(z)), which keeps its relative precision where σ saturates. */
const evaluations: Record<Exclude<Activation, 'linear'>, Evaluate> = {
  relu(ops, z) {
    return { value: ops.relu(z), first: ops.step(z), second: undefined };
  },
  /** tanh′ = 4·σ(2z)·σ(−2z), tanh″ = −2·tanh·tanh′. */
  tanh(ops, z) {
    const value = ops.tanh(z);
    const twice = ops.scale(z, 2);
    const first = ops.scale(ops.mul(ops.sigmoid(twice), ops.sigmoid(ops.scale(twice, -1))), 4);
    return { value, first, second: ops.scale(ops.mul(value, first), -2) };
  },
  /** σ′ = σ(z)·σ(−z), σ″ = σ′·(σ(−z) − σ(z)). */
  sigmoid(ops, z) {
    const value = ops.sigmoid(z);
    const mirrored = ops.sigmoid(ops.scale(z, -1));
    const first = ops.mul(value, mirrored);
    return { value, first, second: ops.mul(first, ops.sub(mirrored, value)) };
  },
  softplus(ops, z) {
    const first = ops.sigmoid(z);
    return { value: ops.softplus(z), first, second: ops.mul(first, ops.sigmoid(ops.scale(z, -1))) };
  },
};

/** The activation and its first two derivatives at `z`, finite for |z| ≤ 100. */
export function evaluateActivation<T>(
  ops: Operations<T>,
  name: Exclude<Activation, 'linear'>,
  z: T,
): ActivationValues<T> {
  return evaluations[name](ops, z);
}
