import { formatNumber } from '../cli/terminal/format.js';
import { print, table } from '../cli/terminal/output.js';

/** One measured number and the goal that it should reach. */
export interface BenchRow {
  /** What was measured: `MLP 784-256-10, 1024 rows`. */
  case: string;
  /** Its quantity and unit: `product / gradient`, `GFLOP/s`. */
  metric: string;
  value: number;
  /** Absent where the number is told for its own sake. */
  goal?: number | undefined;
  better: 'higher' | 'lower';
}

/** A value that is no number misses every goal. */
export function reachesGoal({ value, goal, better }: BenchRow): boolean {
  if (goal === undefined) return true;
  return better === 'higher' ? value >= goal : value <= goal;
}

/**
 * Prints the result of a bench on standard output: a table, or with `--json` exactly one object `{ "rows": [...] }`.
 * Whatever else a bench has to say goes to standard error.
 */
export function report(rows: readonly BenchRow[], words: readonly string[] = process.argv.slice(2)): void {
  print({ json: words.includes('--json') }, { rows }, () => benchTable(rows));
}

export function benchTable(rows: readonly BenchRow[]): string {
  return table(
    [
      { title: 'case' },
      { title: 'metric' },
      { title: 'value', align: 'right' },
      { title: 'goal', align: 'right' },
      { title: '' },
    ],
    rows.map((row) => [
      row.case,
      row.metric,
      formatNumber(row.value),
      row.goal === undefined ? '' : `${row.better === 'higher' ? '≥' : '≤'} ${formatNumber(row.goal)}`,
      row.goal === undefined ? '' : reachesGoal(row) ? '✓ pass' : '✗ miss',
    ]),
  );
}
