import type { Activation } from '../../protocol/model.js';
import type { Operations } from '../engines/operations.js';

/** φ, φ′ and φ″ at one z, elementwise. An absent second derivative is zero everywhere it exists. */
export interface ActivationValues<T> {
  value: T;
  first: T;
  second: T | undefined;
  /** Constant on each piece of a φ that is smooth by pieces only; absent where φ is smooth. */
  piece?: T;
}

type Evaluate = <T>(ops: Operations<T>, z: T, alpha: number | undefined) => ActivationValues<T>;

/** Written with σ(z)·σ(−z) for σ(z)·(1 − σ(z)), which keeps its relative precision where σ saturates. */
const evaluations: Record<Exclude<Activation, 'linear'>, Evaluate> = {
  relu(ops, z) {
    const piece = ops.step(z);
    return { value: ops.relu(z), first: piece, second: undefined, piece };
  },
  leakyRelu(ops, z, alpha = 0.2) {
    const piece = ops.step(z);
    const value = ops.sub(ops.relu(z), ops.scale(ops.relu(ops.scale(z, -1)), alpha));
    return { value, first: shift(ops, ops.scale(piece, 1 - alpha), alpha), second: undefined, piece };
  },
  elu: (ops, z, alpha = 1) => exponentialUnit(ops, z, 1, alpha),
  /** Klambauer and others 2017. */
  selu: (ops, z) => exponentialUnit(ops, z, 1.0507009873554805, 1.0507009873554805 * 1.6732632423543772),
  /** z·Φ(z), Φ′ = φ the normal density: first = Φ + zφ, second = φ·(2 − z²). */
  gelu(ops, z) {
    const phi = ops.scale(shift(ops, ops.erf(ops.scale(z, Math.SQRT1_2)), 1), 0.5);
    const square = ops.mul(z, z);
    const density = ops.scale(ops.exp(ops.scale(square, -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return {
      value: ops.mul(z, phi),
      first: ops.add(phi, ops.mul(z, density)),
      second: ops.mul(density, shift(ops, ops.scale(square, -1), 2)),
    };
  },
  /** z·σ(w), w = √(8/π)·(z + 0.044715·z³). */
  geluTanh(ops, z) {
    const linear = Math.sqrt(8 / Math.PI);
    const cubic = 0.044715 * linear;
    const square = ops.mul(z, z);
    const w = ops.mul(z, shift(ops, ops.scale(square, cubic), linear));
    return gated(ops, z, w, shift(ops, ops.scale(square, 3 * cubic), linear), ops.scale(z, 6 * cubic));
  },
  /** z·σ(z) */
  silu: (ops, z) => gated(ops, z, z, undefined, undefined),
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

const shift = <T>(ops: Operations<T>, a: T, by: number) => ops.add(a, ops.fill([1, 1], by));

/** above·z for z > 0, else below·(eᶻ − 1). */
function exponentialUnit<T>(ops: Operations<T>, z: T, above: number, below: number): ActivationValues<T> {
  const piece = ops.step(z);
  // e⁰ = 1 on the positive side, so that nothing overflows there.
  const power = ops.exp(ops.scale(ops.relu(ops.scale(z, -1)), -1));
  const second = ops.scale(ops.mul(power, shift(ops, ops.scale(piece, -1), 1)), below);
  return {
    value: ops.add(ops.scale(ops.relu(z), above), ops.scale(shift(ops, power, -1), below)),
    first: ops.add(ops.scale(piece, above), second),
    second,
    piece,
  };
}

/** z·σ(w) for w a function of z with derivatives w′ (1 where absent) and w″ (0 where absent). */
function gated<T>(
  ops: Operations<T>,
  z: T,
  w: T,
  slope: T | undefined,
  bend: T | undefined,
): ActivationValues<T> {
  const gate = ops.sigmoid(w);
  const mirrored = ops.sigmoid(ops.scale(w, -1));
  const times = (a: T) => (slope === undefined ? a : ops.mul(a, slope));
  const spread = ops.mul(gate, mirrored);
  const gateSlope = times(spread);
  const curved = times(ops.mul(gateSlope, ops.sub(mirrored, gate)));
  const gateBend = bend === undefined ? curved : ops.add(curved, ops.mul(spread, bend));
  return {
    value: ops.mul(z, gate),
    first: ops.add(gate, ops.mul(z, gateSlope)),
    second: ops.add(ops.scale(gateSlope, 2), ops.mul(z, gateBend)),
  };
}

/** The activation and its first two derivatives at `z`, finite for |z| ≤ 100. */
export function evaluateActivation<T>(
  ops: Operations<T>,
  name: Exclude<Activation, 'linear'>,
  z: T,
  alpha?: number,
): ActivationValues<T> {
  return evaluations[name](ops, z, alpha);
}
