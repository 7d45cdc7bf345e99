import { describe, expect, it } from '@jest/globals';
import { benchTable, reachesGoal } from '../../bench/table.js';
import type { BenchRow } from '../../bench/table.js';

const row: BenchRow = { case: 'MLP', metric: 'product / gradient', value: 0.2, goal: 0.3, better: 'lower' };

describe('reachesGoal', () => {
  it('reachesGoal: the goal itself is enough, a NaN never', () => {
    expect(reachesGoal(row)).toBe(true);
    expect(reachesGoal({ ...row, value: 0.3 })).toBe(true);
    expect(reachesGoal({ ...row, value: 0.31 })).toBe(false);
    expect(reachesGoal({ ...row, better: 'higher' })).toBe(false);
    expect(reachesGoal({ ...row, value: NaN })).toBe(false);
    expect(reachesGoal({ ...row, value: NaN, better: 'higher' })).toBe(false);
  });
});

describe('benchTable', () => {
  it('benchTable: value, goal with its direction, and mark', () => {
    const two = { case: 'two workers', metric: 'speed-up', value: 1.5, goal: 1.7, better: 'higher' } as const;
    expect(benchTable([row, two]).split('\n')).toEqual([
      'case         metric              value   goal',
      'MLP          product / gradient    0.2  ≤ 0.3  ✓ pass',
      'two workers  speed-up              1.5  ≥ 1.7  ✗ miss',
    ]);
  });
});
