import { describe, expect, it } from '@jest/globals';
import { table, toJson } from '../../../cli/terminal/output.js';

describe('table', () => {
  it('table: columns are as wide as their widest cell, numbers to the right, no blanks at line ends', () => {
    const text = table(
      [{ title: 'name' }, { title: 'rows', align: 'right' }, { title: 'note' }],
      [
        ['mnist-train', '60,000', ''],
        ['toy', '1', 'two classes'],
      ],
    );
    expect(text.split('\n')).toEqual([
      'name           rows  note',
      'mnist-train  60,000',
      'toy               1  two classes',
    ]);
  });
});

describe('toJson', () => {
  it('toJson: vectors are arrays, large integers keep their digits', () => {
    const document = { x: Float64Array.of(1, 0.1), y: Float32Array.of(0.5), small: 7n, large: 2n ** 60n };
    expect(JSON.parse(toJson(document))).toEqual({
      x: [1, 0.1],
      y: [0.5],
      small: 7,
      large: '1152921504606846976',
    });
  });
});
