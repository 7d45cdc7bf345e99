import { narrow, panelKernels, stride, wide } from './panel-kernels.js';

/*
 * Products of some long vectors with each other, and sums of them. The vectors are copied tile by tile into the memory of
 * WebAssembly kernels, which take pairs of float64 at a time: six times as fast as V8's loops over arrays.
 */

/** Vectors of either side that are staged together. */
const most = 64;
/** Values staged at a time: 512 KiB, which leaves room in the second cache. */
const tileValues = 2 ** 16;
/** Keeps rows off each other's sets of the first cache. */
const padding = 8;

/** In the kernels' memory, after the rows: sums or weights. */
const numbersStart = tileValues + (2 * most + 1) * padding;
const kernels = panelKernels(8 * (numbersStart + most * most));
const memory = new Float64Array(kernels.memory.buffer);
const numbers = memory.subarray(numbersStart);

/** A·Bᵀ for rows a₁…a_m and b₁…b_n of one length: m × n, row by row. Half the work where A and B are one array. */
export function gram(a: readonly Float64Array[], b: readonly Float64Array[]): Float64Array {
  const [m, n] = [a.length, b.length];
  const result = new Float64Array(m * n);
  for (let i = 0; i < m; i += most)
    for (let j = a === b ? i : 0; j < n; j += most) {
      const left = a.slice(i, i + most);
      addDots(result, n, i, j, left, a === b && i === j ? left : b.slice(j, j + most));
    }
  if (a === b)
    for (let i = 0; i < m; i += 1) for (let j = 0; j < i; j += 1) result[i * n + j] = result[j * n + i]!;
  return result;
}

/** The products of some of the rows a and b with each other, added at (top, left) and after; above the diagonal if a is b. */
function addDots(
  result: Float64Array,
  width: number,
  top: number,
  left: number,
  a: readonly Float64Array[],
  b: readonly Float64Array[],
): void {
  const [m, n] = [a.length, b.length];
  const [rows, first] = a === b ? [a, 0] : [[...a, ...b], m];
  const { length, pitch } = tileOf(rows);
  for (let from = 0; from < rows[0]!.length; from += length) {
    const bytes = 8 * stage(rows, from, length, pitch);
    for (let i = 0; i < m; i += narrow)
      for (let j = a === b ? i - (i % wide) : 0; j < n; j += wide) {
        // Past the end, the first of the group stands in and its sums are not kept.
        const one = 8 * pitch * i;
        const two = i + 1 < m ? one + 8 * pitch : one;
        const other = (k: number) => 8 * pitch * (first + j + (j + k < n ? k : 0));
        kernels.dots(one, two, other(0), other(1), other(2), other(3), one + bytes, 8 * numbersStart);
        for (let k = 0; k < narrow * wide; k += 1) {
          const [row, column] = [i + Math.floor(k / wide), j + (k % wide)];
          if (row < m && column < n)
            result[(top + row) * width + left + column]! += numbers[2 * k]! + numbers[2 * k + 1]!;
        }
      }
  }
}

/**
 * Y ← B + sign·Cᵀ·X: every y_j is b_j and sign·Σᵢ C[i, j]·xᵢ, with C as m × n, row by row. B is Y itself, other rows as many,
 * or nothing: then it does not matter what Y was.
 */
export function addCombinations(
  y: readonly Float64Array[],
  sign: 1 | -1,
  c: Float64Array,
  x: readonly Float64Array[],
  b: readonly Float64Array[] | 'nothing' = y,
): void {
  const weight = (i: number, j: number) => sign * c[i * y.length + j]!;
  for (let j = 0; j < y.length; j += most) {
    const into = y.slice(j, j + most);
    const begin = b === 'nothing' ? b : b.slice(j, j + most);
    for (let i = 0; i < x.length; i += most)
      addSums(into, i === 0 ? begin : into, x.slice(i, i + most), (k, l) => weight(i + k, j + l));
  }
}

function addSums(
  y: readonly Float64Array[],
  b: readonly Float64Array[] | 'nothing',
  x: readonly Float64Array[],
  weight: (i: number, j: number) => number,
): void {
  const [m, n] = [x.length, y.length];
  const blank = b === 'nothing' ? n : 0;
  const rows = [...(b === 'nothing' ? y : b), ...x];
  const { length, pitch } = tileOf(rows);
  // Past the end of X its first of the group stands in, with no weight; past the end of Y a row that nobody reads does.
  const spare = 8 * pitch * rows.length;
  let at = 0;
  for (let j = 0; j < n; j += narrow)
    for (let i = 0; i < m; i += wide)
      for (let k = 0; k < narrow * wide; k += 1) {
        const [row, column] = [i + (k % wide), j + Math.floor(k / wide)];
        numbers[at++] = row < m && column < n ? weight(row, column) : 0;
      }
  for (let from = 0; from < rows[0]!.length; from += length) {
    const staged = stage(rows, from, length, pitch, blank);
    let weights = 8 * numbersStart;
    for (let j = 0; j < n; j += narrow)
      for (let i = 0; i < m; i += wide) {
        const one = 8 * pitch * j;
        const two = j + 1 < n ? one + 8 * pitch : spare;
        const other = (k: number) => 8 * pitch * (n + i + (i + k < m ? k : 0));
        kernels.combine(one, two, other(0), other(1), other(2), other(3), one + 8 * staged, weights);
        weights += 8 * narrow * wide;
      }
    for (let j = 0; j < n; j += 1) {
      const into = y[j]!;
      into.set(memory.subarray(j * pitch, j * pitch + Math.min(length, into.length - from)), from);
    }
  }
}

/** How much of each row is staged at a time, and from which to which value its copies are apart. */
function tileOf(rows: readonly Float64Array[]): { length: number; pitch: number } {
  const length = Math.floor(tileValues / (rows.length + 1) / stride) * stride;
  return { length, pitch: length + padding };
}

/**
 * Copies a tile of each row, zeros for the first `blank` of them.
 * @returns how many values the kernels are to take of each: zeros make up a whole stride.
 */
function stage(
  rows: readonly Float64Array[],
  from: number,
  length: number,
  pitch: number,
  blank = 0,
): number {
  const there = Math.min(length, rows[0]!.length - from);
  const staged = Math.ceil(there / stride) * stride;
  for (let k = 0; k < rows.length; k += 1) {
    const copied = k < blank ? 0 : there;
    if (copied > 0) memory.set(rows[k]!.subarray(from, from + there), k * pitch);
    memory.fill(0, k * pitch + copied, k * pitch + staged);
  }
  return staged;
}
