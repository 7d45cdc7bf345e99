import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BadFileError, IhvpError, NotFiniteError } from '../../protocol/errors.js';
import { decodeNpy } from '../../protocol/npy.js';

/** What NumPy 2 wrote: `np.save(buffer, array)`, base64, the array in the comment; the header's padding taken out. */
const files = {
  // np.array([1, -2.5, 3e300])
  vector: {
    header: "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }",
    data: 'AAAAAAAA8D8AAAAAAAAEwDVYAGYt61F+',
  },
  // np.array([[1, 2, 3], [4, 5, 6]], '<f4')
  block: {
    header: "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
    data: 'AACAPwAAAEAAAEBAAACAQAAAoEAAAMBA',
  },
  // np.asfortranarray([[1.0, 2], [3, 4]])
  fortran: {
    header: "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 2), }",
    data: 'AAAAAAAA8D8AAAAAAAAIQAAAAAAAAABAAAAAAAAAEEA=',
  },
  // np.array([1, 2])
  int: {
    header: "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }",
    data: 'AQAAAAAAAAACAAAAAAAAAA==',
  },
  // np.array([1.0], '>f8')
  big: { header: "{'descr': '>f8', 'fortran_order': False, 'shape': (1,), }", data: 'P/AAAAAAAAA=' },
  // np.zeros((1, 1, 1))
  cube: { header: "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1, 1), }", data: 'AAAAAAAAAAA=' },
  // np.float64(1)
  scalar: { header: "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", data: 'AAAAAAAA8D8=' },
  // np.array([[0.0, 1], [2, np.nan]])
  nan: {
    header: "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }",
    data: 'AAAAAAAAAAAAAAAAAADwPwAAAAAAAABAAAAAAAAA+H8=',
  },
  // np.zeros(1, dtype=[('a', '<f4')])
  record: { header: "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", data: 'AAAAAA==' },
};

function bytesOf(name: keyof typeof files): Uint8Array {
  const { header, data } = files[name];
  const bytes = Buffer.concat([
    Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, 118, 0]),
    Buffer.from(header.padEnd(117) + '\n', 'latin1'),
    Buffer.from(data, 'base64'),
  ]);
  return new Uint8Array(bytes);
}

function failure(bytes: Uint8Array): unknown {
  try {
    decodeNpy(bytes);
  } catch (error) {
    return error;
  }
  throw new Error('no error was thrown');
}

describe('decodeNpy', () => {
  it('decodeNpy: one vector, and a block of them, at any offset', () => {
    expect(decodeNpy(bytesOf('vector'))).toEqual({
      values: Float64Array.of(1, -2.5, 3e300),
      count: 1,
      size: 3,
    });
    const moved = new Uint8Array(1000).subarray(3, 3 + bytesOf('block').length);
    moved.set(bytesOf('block'));
    expect(decodeNpy(moved)).toEqual({ values: Float32Array.of(1, 2, 3, 4, 5, 6), count: 2, size: 3 });
  });

  it.each(['fortran', 'int', 'big', 'cube', 'scalar', 'record'] as const)('decodeNpy: refuses %s', (name) => {
    expect(failure(bytesOf(name))).toBeInstanceOf(BadFileError);
  });

  it('decodeNpy: names row and column of a NaN', () => {
    const error = failure(bytesOf('nan'));
    expect(error).toBeInstanceOf(NotFiniteError);
    expect(error).toMatchObject({ details: { row: 1, column: 1 } });
  });

  it('decodeNpy: truncated and altered files give a coded error or a block of the size they say', () => {
    const whole = bytesOf('block');
    for (let length = 0; length < whole.length; length++)
      expect(failure(whole.slice(0, length))).toBeInstanceOf(BadFileError);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
        const altered = new Uint8Array(whole);
        altered[at] = value;
        try {
          const { values, count, size } = decodeNpy(altered);
          expect(values).toHaveLength(count * size);
        } catch (error) {
          if (!(error instanceof IhvpError)) throw error;
        }
      }),
    );
  });
});
