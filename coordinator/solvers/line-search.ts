import { addScaled, dot } from './vectors.js';

/** f and ∇f at one point. */
export interface Evaluation {
  value: number;
  gradient: Float64Array;
}

export interface Step {
  theta: Float64Array;
  evaluation: Evaluation;
  /** α: theta = start + α·direction. */
  length: number;
}

const sufficient = 1e-4;
/** Shorter steps move float32 parameters by nothing. */
const shortest = 1e-10;

/**
 * Backtracking from α = 1 until f(θ + αd) ≤ f(θ) + δ·α·φ'(0), φ'(0) = ∇f(θ)ᵀd < 0 (Armijo; δ = 1e-4).
 *
 * Near a minimum the decrease drowns in the rounding of f (float32 passes: relative `valueNoise`), and the test becomes
 * a coin toss although the gradient is still accurate. There Hager & Zhang's (2005) approximate condition decides:
 * f(θ + αd) ≤ f(θ) + valueNoise·|f(θ)| and φ'(α) ≤ −(1 − 2δ)·φ'(0), which for a quadratic φ is the same as Armijo.
 * Shorter trials come from the parabola through φ(0), φ'(0), φ(α), kept within [0.1α, 0.5α]; values that are not
 * finite halve α. Returns undefined when no trial down to α = 1e-10 is accepted. An accepted step is the last point evaluated.
 */
export async function backtrack(
  evaluate: (theta: Float64Array) => Promise<Evaluation>,
  start: Float64Array,
  from: Evaluation,
  direction: Float64Array,
  valueNoise: number,
): Promise<Step | undefined> {
  const slope = dot(from.gradient, direction);
  if (!(slope < 0)) return undefined;
  let length = 1;
  while (length >= shortest) {
    const theta = start.slice();
    addScaled(theta, length, direction);
    const evaluation = await evaluate(theta);
    const rise = evaluation.value - from.value;
    const slopeThere = dot(evaluation.gradient, direction);
    if (Number.isFinite(rise) && Number.isFinite(slopeThere)) {
      const armijo = rise <= sufficient * length * slope;
      const approximate =
        rise <= valueNoise * Math.abs(from.value) && slopeThere <= -(1 - 2 * sufficient) * slope;
      if (armijo || approximate) return { theta, evaluation, length };
      const parabola = (-slope * length ** 2) / (2 * (rise - slope * length));
      length = Math.min(Math.max(parabola, 0.1 * length), 0.5 * length);
    } else length /= 2;
  }
  return undefined;
}
