import { describe, expect, it } from '@jest/globals';
import { formatBytes, formatDuration, formatNumber } from '../../../cli/terminal/format.js';

describe('formatNumber', () => {
  it.each([
    [60000, '60,000'],
    [0, '0'],
    [-7850, '-7,850'],
    [0.0123456, '0.01235'],
    [1234.567, '1,235'],
    [1.23456e-7, '1.235e-7'],
    [2.5e-9, '2.5e-9'],
    [1e-5, '1e-5'],
    [1.5e300, '1.5e+300'],
    [NaN, 'NaN'],
    [-Infinity, '-Infinity'],
  ])('formatNumber: %d', (value, text) => expect(formatNumber(value)).toBe(text));
});

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1 kB'],
    [999_900, '1 MB'],
    [46_000_000, '46 MB'],
    [1_234_567_890, '1.23 GB'],
    [5e15, '5,000 TB'],
  ])('formatBytes: %d', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe('formatDuration', () => {
  it.each([
    [0.0123, '12.3 ms'],
    [0.9999, '1 s'],
    [4.56, '4.56 s'],
    [59.99, '1 min 00 s'],
    [125, '2 min 05 s'],
    [3599.9, '1 h 00 min'],
    [3725, '1 h 02 min'],
    [Infinity, '?'],
  ])('formatDuration: %d s', (seconds, text) => expect(formatDuration(seconds)).toBe(text));
});
