/*
 * Products of a few long vectors with each other, and sums of them. The vectors are cut into tiles that fit the first
 * cache, so that each is read from memory once however many others it meets, and four are worked on at a time.
 */

/** Values of a tile: ten vectors of it are 80 KB. */
const tile = 1024;

/** A·Bᵀ for rows a₁…a_m and b₁…b_n of one length: m × n, row by row. */
export function gram(a: readonly Float64Array[], b: readonly Float64Array[]): Float64Array {
  const [m, n] = [a.length, b.length];
  const result = new Float64Array(m * n);
  const length = a[0]?.length ?? 0;
  for (let from = 0; from < length; from += tile) {
    const to = Math.min(length, from + tile);
    for (let i = 0; i < m; i += 2)
      for (let j = 0; j < n; j += 4) {
        // Past the end, the first of the group stands in and its sum is not kept.
        const a0 = a[i]!;
        const a1 = a[i + 1] ?? a0;
        const b0 = b[j]!;
        const [b1, b2, b3] = [b[j + 1] ?? b0, b[j + 2] ?? b0, b[j + 3] ?? b0];
        dots(a0, a1, b0, b1, b2, b3, from, to);
        for (let k = 0; k < 8; k += 1) {
          const [row, column] = [i + (k >> 2), j + (k & 3)];
          if (row < m && column < n) result[row * n + column]! += found[k]!;
        }
      }
  }
  return result;
}

const found = new Float64Array(8);

function dots(
  a0: Float64Array,
  a1: Float64Array,
  b0: Float64Array,
  b1: Float64Array,
  b2: Float64Array,
  b3: Float64Array,
  from: number,
  to: number,
): void {
  let [s0, s1, s2, s3, s4, s5, s6, s7] = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let t = from; t < to; t += 1) {
    const [x, y] = [a0[t]!, a1[t]!];
    const [u0, u1, u2, u3] = [b0[t]!, b1[t]!, b2[t]!, b3[t]!];
    s0 += x * u0;
    s1 += x * u1;
    s2 += x * u2;
    s3 += x * u3;
    s4 += y * u0;
    s5 += y * u1;
    s6 += y * u2;
    s7 += y * u3;
  }
  found[0] = s0;
  found[1] = s1;
  found[2] = s2;
  found[3] = s3;
  found[4] = s4;
  found[5] = s5;
  found[6] = s6;
  found[7] = s7;
}

/** Y ← Y + sign·Cᵀ·X: every y_j gains sign·Σᵢ C[i, j]·xᵢ, with C as m × n, row by row. */
export function addCombinations(
  y: readonly Float64Array[],
  sign: 1 | -1,
  c: Float64Array,
  x: readonly Float64Array[],
): void {
  const [m, n] = [x.length, y.length];
  const length = y[0]?.length ?? 0;
  const weight = (i: number, j: number) => (i < m ? sign * c[i * n + j]! : 0);
  for (let from = 0; from < length; from += tile) {
    const to = Math.min(length, from + tile);
    for (let i = 0; i < m; i += 4) {
      const x0 = x[i]!;
      const [x1, x2, x3] = [x[i + 1] ?? x0, x[i + 2] ?? x0, x[i + 3] ?? x0];
      for (let j = 0; j < n; j += 1) {
        const into = y[j]!;
        const [w0, w1, w2, w3] = [weight(i, j), weight(i + 1, j), weight(i + 2, j), weight(i + 3, j)];
        for (let t = from; t < to; t += 1) into[t]! += w0 * x0[t]! + w1 * x1[t]! + w2 * x2[t]! + w3 * x3[t]!;
      }
    }
  }
}
