import { PassThrough } from 'node:stream';
import { describe, expect, it } from '@jest/globals';
import { progressLine, startProgress } from '../../../cli/terminal/progress.js';
import type { ProgressOptions } from '../../../cli/terminal/progress.js';

function shown(options: Partial<ProgressOptions>, isTTY: boolean): string {
  const stream = Object.assign(new PassThrough(), { isTTY });
  const progress = startProgress({ label: 'import', total: 60_000, stream, ...options });
  for (let row = 0; row <= 30_000; row += 1000) progress.update(row, 'reading');
  progress.stop();
  return ((stream.read() as Buffer | null) ?? '').toString();
}

describe('startProgress', () => {
  it('startProgress: no terminal: a line at the start and one at the end, none for each step', () => {
    const lines = shown({}, false).trimEnd().split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^import: 0\/60,000 \(0 %\)/);
    expect(lines[1]).toMatch(/^import: 30,000\/60,000 \(50 %\), reading/);
  });

  it('startProgress: a terminal gets a bar with its last state', () => {
    expect(shown({}, true)).toMatch(/import \[=+-+\] 30,000\/60,000 reading ETA /);
  });

  it('startProgress: nothing with --json', () => {
    expect(shown({ json: true }, true) + shown({ json: true }, false)).toBe('');
  });
});

describe('progressLine', () => {
  it('progressLine: percent rounds down, so that 100 % means done', () => {
    const state = { label: 'solve', value: 999, total: 1000, note: 'residual 1e-3', seconds: 4.5 };
    expect(progressLine(state)).toBe('solve: 999/1,000 (99 %), residual 1e-3, 4.5 s');
  });

  it('progressLine: a total of zero has no percentage', () => {
    expect(progressLine({ label: 'list', value: 0, total: 0, note: '', seconds: 1 })).toBe('list: 0/0, 1 s');
  });
});
