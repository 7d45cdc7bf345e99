import type { Phi, Trial, WolfeOptions } from './more-thuente.js';

const widenings = 10;
const narrowings = 10;

/**
 * A step that satisfies the strong Wolfe conditions by widening an interval and zooming in (Nocedal & Wright 2006,
 * algorithms 3.5 and 3.6), as SciPy falls back to where `moreThuente` finds none. After 10 widenings the last step is
 * taken as it is; undefined where zooming does not end.
 */
export async function zoomSearch(
  phi: Phi,
  start: { value: number; slope: number },
  first: number,
  options: WolfeOptions,
): Promise<{ step: number; value: number } | undefined> {
  const enough = (step: number, value: number) => value <= start.value + options.c1 * step * start.slope;
  const flat = (slope: number) => Math.abs(slope) <= -options.c2 * start.slope;
  let before: Trial = { step: 0, ...start };
  let step = first;
  let value = await phi.value(step);
  for (let count = 0; count < widenings; count += 1) {
    if (step === 0) return undefined;
    if (!enough(step, value) || (value >= before.value && count > 0))
      return narrow(phi, start, before, { step, value }, enough, flat);
    const slope = await phi.slope(step);
    if (flat(slope)) return { step, value };
    const here = { step, value, slope };
    if (slope >= 0) return narrow(phi, start, here, before, enough, flat);
    before = here;
    step *= 2;
    value = await phi.value(step);
  }
  return { step, value };
}

type Point = Pick<Trial, 'step' | 'value'>;

async function narrow(
  phi: Phi,
  start: { value: number },
  low: Trial,
  high: Point,
  enough: (step: number, value: number) => boolean,
  flat: (slope: number) => boolean,
): Promise<Point | undefined> {
  let previous: Point = { step: 0, value: start.value };
  for (let count = 0; count <= narrowings; count += 1) {
    const width = high.step - low.step;
    const [left, right] = width < 0 ? [high.step, low.step] : [low.step, high.step];
    const within = (step: number, margin: number) =>
      Number.isFinite(step) && step <= right - margin * width && step >= left + margin * width;
    let step = count > 0 ? cubicMinimum(low, high, previous) : NaN;
    if (!within(step, 0.2)) step = parabolaMinimum(low, high);
    if (!within(step, 0.1)) step = low.step + 0.5 * width;
    const value = await phi.value(step);
    if (!enough(step, value) || value >= low.value) {
      previous = high;
      high = { step, value };
      continue;
    }
    const slope = await phi.slope(step);
    if (flat(slope)) return { step, value };
    if (slope * width >= 0) {
      previous = high;
      high = low;
    } else previous = low;
    low = { step, value, slope };
  }
  return undefined;
}

/** The minimum of the parabola through a point with its slope and another point. */
function parabolaMinimum(a: Trial, b: Point): number {
  const d = b.step - a.step;
  return a.step - a.slope / (2 * ((b.value - a.value - a.slope * d) / (d * d)));
}

/** The minimum of the cubic through a point with its slope and two others. */
function cubicMinimum(a: Trial, b: Point, c: Point): number {
  const [db, dc] = [b.step - a.step, c.step - a.step];
  const scale = (db * dc) ** 2 * (db - dc);
  const [rb, rc] = [b.value - a.value - a.slope * db, c.value - a.value - a.slope * dc];
  const third = (dc ** 2 * rb - db ** 2 * rc) / scale;
  const second = (-(dc ** 3) * rb + db ** 3 * rc) / scale;
  return a.step + (-second + Math.sqrt(second * second - 3 * third * a.slope)) / (3 * third);
}
