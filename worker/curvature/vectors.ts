/* Float64 arithmetic on float32 vectors of the host. */

/** The K rows of K × p values, without a copy. */
export const split = (values: Float32Array, count: number) =>
  Array.from({ length: count }, (_, k) =>
    values.subarray((k * values.length) / count, ((k + 1) * values.length) / count),
  );
export const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
export const norm = (a: Float32Array) => Math.sqrt(dot(a, a));
export const distance = (a: Float32Array, b: Float32Array) => norm(a.map((value, i) => value - b[i]!));

/** The vectors of `values`, each scaled to the norm of that in `sizes`. */
export function ofSameSize(values: Float32Array, sizes: Float32Array, count: number): Float32Array {
  const scaled = new Float32Array(values.length);
  const wanted = split(sizes, count);
  for (const [k, value] of split(values, count).entries()) {
    const factor = norm(wanted[k]!) / (norm(value) || 1);
    scaled.set(
      value.map((x) => x * factor),
      k * value.length,
    );
  }
  return scaled;
}
