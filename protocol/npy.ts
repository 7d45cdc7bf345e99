import { BadFileError } from './errors.js';
import { checkFinite, type VectorBlock } from './vectors.js';

/**
 * The block in a NumPy `.npy` file (versions 1 to 3) of shape (p,) or (K, p), float32 or float64, little-endian, C
 * order. Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 * Throws `BadFileError` on anything else, `NotFiniteError` on NaN or ±Inf.
 */
export function decodeNpy(bytes: Uint8Array): VectorBlock {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || bytes[0] !== 0x93 || text(bytes.subarray(1, 6)) !== 'NUMPY')
    throw new BadFileError('this is no .npy file');
  const version = bytes[6]!;
  if (version < 1 || version > 3) throw new BadFileError(`.npy version ${version} is unknown`);
  const start = version === 1 ? 10 : 12;
  const end = start + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (end > bytes.length) throw new BadFileError('the .npy file ends in its header');
  const header = text(bytes.subarray(start, end));
  const type = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const isFortran = /'fortran_order':\s*(True|False)/.exec(header)?.[1] !== 'False';
  const shape = /'shape':\s*\(([\d, ]*)\)/.exec(header)?.[1]?.match(/\d+/g)?.map(Number) ?? [];
  if (type !== '<f4' && type !== '<f8')
    throw new BadFileError(
      `the .npy file holds ${type ?? 'records'}; float32 or float64 (little-endian) is needed`,
      {
        hint: 'save it with np.save(path, array.astype("<f8"))',
      },
    );
  if (shape.length < 1 || shape.length > 2 || shape.includes(0))
    throw new BadFileError(`the .npy file has shape (${shape.join(', ')}); (p,) or (K, p) is needed`);
  if (isFortran && shape.length > 1)
    throw new BadFileError('the .npy file is in Fortran order', { hint: 'save np.ascontiguousarray(array)' });
  const size = shape.at(-1)!;
  const count = shape.length === 2 ? shape[0]! : 1;
  const expected = count * size * (type === '<f4' ? 4 : 8);
  if (bytes.length - end !== expected)
    throw new BadFileError(
      `the .npy file has ${bytes.length - end} bytes of data, its header says ${expected}`,
    );
  // A copy, for the data may begin at any offset.
  const { buffer } = new Uint8Array(bytes.subarray(end));
  return checkFinite({
    values: type === '<f4' ? new Float32Array(buffer) : new Float64Array(buffer),
    count,
    size,
  });
}

function text(bytes: Uint8Array): string {
  return new TextDecoder('latin1').decode(bytes);
}
