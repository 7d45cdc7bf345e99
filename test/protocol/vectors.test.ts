import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { tableFromIPC, tableToIPC } from 'apache-arrow';
import { BadFileError, IhvpError, NotFiniteError, ShapeMismatchError } from '../../protocol/errors.js';
import { decodeVectors, encodeVectors } from '../../protocol/vectors.js';

const finite = { noNaN: true, noDefaultInfinity: true };
const block = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 9 }), fc.boolean())
  .chain(([count, size, isDouble]) => {
    const bounds = { minLength: count * size, maxLength: count * size };
    const values: fc.Arbitrary<Float32Array | Float64Array> = isDouble
      ? fc.float64Array({ ...finite, ...bounds })
      : fc.float32Array({ ...finite, ...bounds });
    return values.map((array) => ({ values: array, count, size }));
  });

function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error('no error was thrown');
}

describe('decodeVectors', () => {
  it('decodeVectors: gives back what encodeVectors was given, at any offset', () => {
    fc.assert(
      fc.property(block, fc.nat(7), (vectors, offset) => {
        const bytes = encodeVectors(vectors.values, vectors.count, vectors.size);
        const moved = new Uint8Array(bytes.length + offset).subarray(offset);
        moved.set(bytes);
        expect(decodeVectors(moved)).toEqual(vectors);
      }),
    );
  });

  it('decodeVectors: joins record batches', () => {
    const table = tableFromIPC(encodeVectors(Float64Array.of(1, 2, 3, 4), 2, 2));
    expect(decodeVectors(tableToIPC(table.concat(table), 'file'))).toEqual({
      values: Float64Array.of(1, 2, 3, 4, 1, 2, 3, 4),
      count: 4,
      size: 2,
    });
  });

  it('decodeVectors: names row and column of a NaN', () => {
    const error = thrown(() => decodeVectors(encodeVectors(Float32Array.of(1, 2, 3, 4, 5, NaN), 3, 2)));
    expect(error).toBeInstanceOf(NotFiniteError);
    expect(error).toMatchObject({ message: 'NaN in row 2, column 1 of the vectors' });
  });

  it('decodeVectors: refuses other columns and other bytes', () => {
    expect(thrown(() => encodeVectors(Float32Array.of(1, 2, 3), 2, 2))).toBeInstanceOf(ShapeMismatchError);
    const table = tableFromIPC(encodeVectors(Float32Array.of(1, 2), 1, 2));
    expect(thrown(() => decodeVectors(tableToIPC(table, 'stream')))).toBeInstanceOf(BadFileError);
    expect(thrown(() => decodeVectors(tableToIPC(table.slice(0, 0), 'file')))).toBeInstanceOf(BadFileError);
    expect(thrown(() => decodeVectors(new TextEncoder().encode('1 2 3')))).toBeInstanceOf(BadFileError);
  });

  it('decodeVectors: truncated and altered files give a coded error or a block of the size they say', () => {
    const bytes = encodeVectors(Float32Array.of(1, 2, 3, 4), 2, 2);
    const damage = fc.oneof(
      fc
        .array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
        .map((changes) => {
          const altered = new Uint8Array(bytes);
          for (const [at, value] of changes) altered[at] = value;
          return altered;
        }),
      fc.nat(bytes.length - 1).map((length) => bytes.slice(0, length)),
    );
    fc.assert(
      fc.property(damage, (altered) => {
        try {
          const { values, count, size } = decodeVectors(altered);
          expect(values).toHaveLength(count * size);
        } catch (error) {
          if (!(error instanceof IhvpError)) throw error;
        }
      }),
      { numRuns: 3000 },
    );
  });
});
