import { expect, it } from '@jest/globals';
import { RunningTail } from '../../../coordinator/solvers/running-tail.js';

it('RunningTail: mean and change are over the last half to three quarters, each state counted by its steps', () => {
  const tail = new RunningTail(Float64Array.of(0), true);
  const values: { value: number; steps: number; end: number }[] = [{ value: 0, steps: 0, end: 0 }];
  let end = 0;
  for (let i = 1; i <= 300; i += 1) {
    const steps = 1 + (i % 3);
    end += steps;
    values.push({ value: Math.sqrt(i), steps, end });
    tail.add(Float64Array.of(Math.sqrt(i)), steps);
    const { change, steps: length } = tail.change();
    const first = values.findIndex((each) => each.end === end - length);
    expect(first).toBeGreaterThanOrEqual(0);
    const within = values.slice(first + 1);
    expect(change[0]).toBeCloseTo(Math.sqrt(i) - values[first]!.value, 12);
    const mean = within.reduce((sum, each) => sum + (each.value * each.steps) / length, 0);
    expect(tail.mean()[0]).toBeCloseTo(mean, 12);
    tail.turn();
    // As soon as there is a half: a mark of the first steps is never far off.
    if (i > 6) {
      expect(tail.change().steps / end).toBeGreaterThan(0.48);
      expect(length / end).toBeLessThan(0.8);
    }
  }
});
