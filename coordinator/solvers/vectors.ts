type Vector = Float64Array | Float32Array;

/** Row k of a block of vectors of length `size`, as a view. */
export function row<V extends Vector>(block: V, k: number, size: number): V {
  return block.subarray(k * size, (k + 1) * size) as V;
}

/** aᵀb, in four sums that do not wait for each other. */
export function dot(a: Vector, b: Vector): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  const even = a.length - (a.length % 4);
  for (let i = 0; i < even; i += 4) {
    s0 += a[i]! * b[i]!;
    s1 += a[i + 1]! * b[i + 1]!;
    s2 += a[i + 2]! * b[i + 2]!;
    s3 += a[i + 3]! * b[i + 3]!;
  }
  for (let i = even; i < a.length; i += 1) s0 += a[i]! * b[i]!;
  return s0 + s1 + (s2 + s3);
}

export function norm(a: Vector): number {
  return Math.sqrt(dot(a, a));
}

/** ‖a‖₁ */
export function absoluteSum(a: Vector): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += Math.abs(a[i]!);
  return sum;
}

/** y ← y + α·x */
export function addScaled(y: Vector, alpha: number, x: Vector): void {
  for (let i = 0; i < y.length; i += 1) y[i]! += alpha * x[i]!;
}

/** Rows in a K × p block. @throws RangeError if its length is not a multiple of p. */
export function countRows(block: Vector, size: number): number {
  if (size < 1 || block.length % size !== 0)
    throw new RangeError(
      `a block of ${block.length} values has no whole number of vectors of length ${size}`,
    );
  return block.length / size;
}

/** A number for people. */
export const show = (value: number) => value.toPrecision(3).replace(/\.0*(e|$)|(\.\d*?)0+(e|$)/, '$2$1$3');
