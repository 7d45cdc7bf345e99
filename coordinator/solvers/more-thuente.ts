/** φ(α) = f(x + αd) and φ'(α). */
export interface Trial {
  step: number;
  value: number;
  slope: number;
}

export interface Phi {
  value(step: number): Promise<number>;
  slope(step: number): Promise<number>;
}

export interface WolfeOptions {
  /** Sufficient decrease: φ(α) ≤ φ(0) + c1·α·φ'(0). */
  c1: number;
  /** Curvature: |φ'(α)| ≤ c2·|φ'(0)|. */
  c2: number;
}

const [shortest, longest] = [1e-8, 50];
const narrowest = 1e-14;
const trials = 100;

/**
 * A step that satisfies the strong Wolfe conditions, by the line search of Moré & Thuente (1994), with the constants of
 * MINPACK-2's dcsrch as SciPy calls it. Undefined where none is found: the slope is not downhill, rounding prevents
 * progress, or the step runs into a limit.
 */
export async function moreThuente(
  phi: Phi,
  start: { value: number; slope: number },
  first: number,
  { c1, c2 }: WolfeOptions,
): Promise<Trial | undefined> {
  if (!(start.slope < 0) || first < shortest || first > longest) return undefined;
  const decrease = c1 * start.slope;
  let best: Trial = { step: 0, ...start };
  let other: Trial = { step: 0, ...start };
  let bracketed = false;
  let auxiliary = true;
  let width = longest - shortest;
  let widthBefore = 2 * width;
  let [low, high] = [0, 5 * first];
  let step = first;
  for (let count = 1; count < trials; count += 1) {
    const trial = { step, value: await phi.value(step), slope: await phi.slope(step) };
    const enough = start.value + step * decrease;
    if (auxiliary && trial.value <= enough && trial.slope >= 0) auxiliary = false;
    if (trial.value <= enough && Math.abs(trial.slope) <= -c2 * start.slope) return trial;
    if (
      (bracketed && (step <= low || step >= high || high - low <= narrowest * high)) ||
      (step === longest && trial.value <= enough && trial.slope <= decrease) ||
      (step === shortest && (trial.value > enough || trial.slope >= decrease))
    )
      return undefined;
    // Until a step with enough decrease and a slope upwards is seen, the search is for a minimum of φ(α) − c1·α·φ'(0).
    const tilt = auxiliary && trial.value <= best.value && trial.value > enough ? decrease : 0;
    const next = cubicStep(
      tilted(best, -tilt),
      tilted(other, -tilt),
      tilted(trial, -tilt),
      bracketed,
      low,
      high,
    );
    best = tilted(next.best, tilt);
    other = tilted(next.other, tilt);
    bracketed = next.bracketed;
    step = next.step;
    if (bracketed) {
      if (Math.abs(other.step - best.step) >= 0.66 * widthBefore)
        step = best.step + 0.5 * (other.step - best.step);
      widthBefore = width;
      width = Math.abs(other.step - best.step);
      [low, high] = [Math.min(best.step, other.step), Math.max(best.step, other.step)];
    } else [low, high] = [step + 1.1 * (step - best.step), step + 4 * (step - best.step)];
    step = Math.min(Math.max(step, shortest), longest);
    if (bracketed && (step <= low || step >= high || high - low <= narrowest * high)) step = best.step;
    if (!Number.isFinite(step)) return undefined;
  }
  return undefined;
}

const tilted = ({ step, value, slope }: Trial, tilt: number): Trial => ({
  step,
  value: value + step * tilt,
  slope: slope + tilt,
});

/** The next step from the best one, the other end of the interval and the last trial, and the new interval (dcstep). */
function cubicStep(
  best: Trial,
  other: Trial,
  trial: Trial,
  bracketed: boolean,
  low: number,
  high: number,
): { best: Trial; other: Trial; step: number; bracketed: boolean } {
  const turned = Math.sign(trial.slope) * Math.sign(best.slope) < 0;
  const nearer = (a: number, b: number, to: number) => (Math.abs(a - to) < Math.abs(b - to) ? a : b);
  const farther = (a: number, b: number, to: number) => (Math.abs(a - to) > Math.abs(b - to) ? a : b);
  const secant = trial.step + (trial.slope / (trial.slope - best.slope)) * (best.step - trial.step);
  let step: number;
  let closed = bracketed;
  if (trial.value > best.value) {
    // Higher: the minimum is between, nearer to the best one.
    const { theta, gamma } = cubic(best, trial);
    const root = trial.step < best.step ? -gamma : gamma;
    const r = (root - best.slope + theta) / (root - best.slope + root + trial.slope);
    const width = trial.step - best.step;
    const byCubic = best.step + r * width;
    const byParabola =
      best.step + (best.slope / ((best.value - trial.value) / width + best.slope) / 2) * width;
    step =
      Math.abs(byCubic - best.step) <= Math.abs(byParabola - best.step)
        ? byCubic
        : byCubic + (byParabola - byCubic) / 2;
    closed = true;
  } else if (turned) {
    // Lower, and the slope has turned: the minimum is between.
    const { theta, gamma } = cubic(best, trial);
    const root = trial.step > best.step ? -gamma : gamma;
    const r = (root - trial.slope + theta) / (root - trial.slope + root + best.slope);
    step = farther(trial.step + r * (best.step - trial.step), secant, trial.step);
    closed = true;
  } else if (Math.abs(trial.slope) < Math.abs(best.slope)) {
    // Lower, and flatter: the cubic may have no minimum beyond.
    const { theta, gamma } = cubic(best, trial);
    const root = trial.step > best.step ? -gamma : gamma;
    const r = (root - trial.slope + theta) / (root + (best.slope - trial.slope) + root);
    const onwards = trial.step > best.step;
    const byCubic = r < 0 && root !== 0 ? trial.step + r * (best.step - trial.step) : onwards ? high : low;
    if (bracketed) {
      const limit = trial.step + 0.66 * (other.step - trial.step);
      const chosen = nearer(byCubic, secant, trial.step);
      step = onwards ? Math.min(limit, chosen) : Math.max(limit, chosen);
    } else step = Math.min(Math.max(farther(byCubic, secant, trial.step), low), high);
  } else if (bracketed) {
    const { theta, gamma } = cubic(other, trial);
    const root = trial.step > other.step ? -gamma : gamma;
    const r = (root - trial.slope + theta) / (root - trial.slope + root + other.slope);
    step = trial.step + r * (other.step - trial.step);
  } else step = trial.step > best.step ? high : low;

  return trial.value > best.value
    ? { best, other: trial, step, bracketed: closed }
    : { best: trial, other: turned ? best : other, step, bracketed: closed };
}

/** θ and γ ≥ 0 of the cubic through two trials. */
function cubic(a: Trial, b: Trial): { theta: number; gamma: number } {
  const theta = (3 * (a.value - b.value)) / (b.step - a.step) + a.slope + b.slope;
  const size = Math.max(Math.abs(theta), Math.abs(a.slope), Math.abs(b.slope));
  const radical = (theta / size) ** 2 - (a.slope / size) * (b.slope / size);
  return { theta, gamma: size * Math.sqrt(Math.max(0, radical)) };
}
