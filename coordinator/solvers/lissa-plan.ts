/*
 * LiSSA's free numbers, from what is known of the curvature. What is chosen is rounded to two digits, so that the last bits
 * of an estimate decide nothing.
 */

/** Passes at most, where the curvature's floor is unknown or far below the scale. */
const mostPasses = 1000;
/** How much longer a run may be than its contraction asks for: the noise of minibatches leaves its mean with the square root only. */
const forNoise = 4;

/** The least number of two significant digits that is not below the value, but for rounding. */
export function roundUp(value: number): number {
  if (!(value > 0 && Number.isFinite(value))) return value;
  const digit = Math.floor(Math.log10(value)) - 1;
  return Number(`${Math.ceil((value / 10 ** digit) * (1 - 1e-6))}e${digit}`);
}

/**
 * Below this, minibatches take no fewer passes, but leave more noise in the mean: softmax regression on MNIST, eight right-hand
 * sides, λ = 0.01, came to 0.02 with all eight in 17 passes of 256 rows, with four in 30 of 64.
 */
const leastRows = 256;

/**
 * Rows of a minibatch: the least power of two from 256 to 1024 that is at least twice tr H₀ / λmax(H₀), H₀ without l2. One of
 * m rows has an effective largest eigenvalue of λmax + (β − λmax)/m, β a row's own (Ma, Bassily & Belkin 2018); β is at most
 * about tr H₀, so that the minibatch adds no more than half to the scale.
 */
export function lissaBatchSize(
  largest: number,
  trace: number,
  l2: number,
  size: number,
  most: number,
): number {
  const rank = Math.max(1, trace - l2 * size) / Math.max(largest - l2, Number.MIN_VALUE);
  let rows = leastRows;
  while (rows < 1024 && rows < 2 * rank) rows *= 2;
  return Math.min(rows, most);
}

/**
 * The scale: λ on top of the largest eigenvalue of H, or of a minibatch's H_B at three standard deviations above the mean
 * of those looked at. With it every step is a contraction in every direction, and a minibatch twice as steep still does no harm.
 */
export function lissaScale(largest: number, minibatches: readonly number[], damping: number): number {
  const mean = minibatches.reduce((sum, value) => sum + value, 0) / minibatches.length;
  const squares = minibatches.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const deviation = Math.sqrt(squares / (minibatches.length - 1));
  return roundUp(Math.max(largest, mean + 3 * deviation, ...minibatches) + damping);
}

/**
 * Passes at most: four times those that are enough for a mean over the second half of the run to have a residual of
 * `tolerance`, even along the flattest direction: (1 − floor/scale)^(steps/2) ≤ tolerance, where H + λI has no eigenvalue
 * below `floor`.
 */
export function lissaDepth(floor: number, scale: number, tolerance: number, stepsInPass: number): number {
  const steps = (2 * Math.log(1 / tolerance)) / -Math.log1p(-Math.min(0.5, floor / scale));
  return Math.max(2, Math.min(mostPasses, Math.ceil((forNoise * steps) / stepsInPass) || mostPasses));
}
