import { describe, expect, it } from '@jest/globals';
import { moreThuente, type Phi } from '../../../coordinator/solvers/more-thuente.js';
import { zoomSearch } from '../../../coordinator/solvers/zoom.js';

const wolfe = { c1: 1e-4, c2: 0.9 };

/** Functions of one variable, with their derivatives, that start downhill. */
const functions: { name: string; f: (a: number) => number; slope: (a: number) => number }[] = [
  // Moré & Thuente 1994, (5.1) and (5.2) with β = 2 and 0.004.
  { name: 'Moré–Thuente 1', f: (a) => -a / (a * a + 2), slope: (a) => (a * a - 2) / (a * a + 2) ** 2 },
  {
    name: 'Moré–Thuente 2',
    f: (a) => (a + 0.004) ** 5 - 2 * (a + 0.004) ** 4,
    slope: (a) => 5 * (a + 0.004) ** 4 - 8 * (a + 0.004) ** 3,
  },
  { name: 'a parabola', f: (a) => (a - 3) ** 2, slope: (a) => 2 * (a - 3) },
  {
    name: 'a steep exponential',
    f: (a) => Math.exp(10 * a) - 20 * a,
    slope: (a) => 10 * Math.exp(10 * a) - 20,
  },
];

describe.each([
  ['moreThuente', moreThuente],
  ['zoomSearch', zoomSearch],
])('%s', (_, search) => {
  const cases = functions.flatMap((each) => [0.1, 1, 10].map((first) => ({ ...each, first })));
  it.each(cases)('$name from $first: the strong Wolfe conditions hold', async ({ f, slope, first }) => {
    const phi: Phi = { value: (a) => Promise.resolve(f(a)), slope: (a) => Promise.resolve(slope(a)) };
    const start = { value: f(0), slope: slope(0) };
    const { step, value } = (await search(phi, start, first, wolfe))!;
    expect(step).toBeGreaterThan(0);
    expect(value).toBe(f(step));
    expect(value).toBeLessThanOrEqual(start.value + wolfe.c1 * step * start.slope);
    expect(Math.abs(slope(step))).toBeLessThanOrEqual(-wolfe.c2 * start.slope);
  });
});

describe('moreThuente', () => {
  it('moreThuente: none uphill, and none where the function only falls', async () => {
    const phi: Phi = { value: (a) => Promise.resolve(-a), slope: () => Promise.resolve(-1) };
    expect(await moreThuente(phi, { value: 0, slope: 1 }, 1, wolfe)).toBeUndefined();
    expect(await moreThuente(phi, { value: 0, slope: -1 }, 1, wolfe)).toBeUndefined();
  });
});
