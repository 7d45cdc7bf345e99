import * as tf from '@tensorflow/tfjs';

/** `native` runs the backend's own kernel. */
type Kernel = (inputs: tf.NamedTensorMap, attrs: object, native: () => tf.Tensor) => tf.Tensor;

/** Kernels that the webgpu backend of TensorFlow.js 4.22 has not, or not rightly, made of its other ones. */
export const webgpuKernels: Readonly<Record<string, Kernel>> = {
  /** A cast of integers is in name alone, and some programs do not compile for such a view. */
  Cast({ x }, _, native) {
    const result = native();
    return x!.dtype !== 'float32' && result.dtype === 'float32' ? tf.mul(result, 1) : result;
  },
  /** A program has 8 buffers, its result among them. */
  AddN: (inputs, _, native) =>
    Object.keys(inputs).length < 8
      ? native()
      : Object.values(inputs).reduce((sum, term) => tf.add(sum, term)),
  /* Of more than four axes the one is computed on the host, from values that cannot be read at once, the other not at all. */
  Tile({ x }, attrs, native) {
    const { reps } = attrs as tf.TileAttrs;
    if (x!.rank <= 4) return native();
    return eachAxis(x!, (runs, axis) => (reps[axis] === 1 ? runs : tf.tile(runs, [1, reps[axis]!, 1])));
  },
  PadV2({ x }, attrs, native) {
    const { paddings, constantValue } = attrs as tf.PadV2Attrs;
    if (x!.rank <= 4) return native();
    return eachAxis(x!, (runs, axis) => {
      const [before, after] = paddings[axis]!;
      const around: [number, number][] = [
        [0, 0],
        [before, after],
        [0, 0],
      ];
      return before + after === 0 ? runs : tf.pad(runs, around, constantValue);
    });
  },
  /* WGSL promises 11 bits of these. */
  Sin: ({ x }) => alternating(x!, 0),
  Cos: ({ x }) => tf.neg(alternating(x!, 0.5)),
  Tan: ({ x }) => tf.div(alternating(x!, 0), tf.neg(alternating(x!, 0.5))),
};

/** Changes the length of each axis in turn; `change` is given the tensor as outer × length of the axis × inner. */
function eachAxis(x: tf.Tensor, change: (runs: tf.Tensor3D, axis: number) => tf.Tensor): tf.Tensor {
  return x.shape.reduce((tensor, length, axis) => {
    const outer = tf.util.sizeFromShape(tensor.shape.slice(0, axis));
    const inner = tf.util.sizeFromShape(tensor.shape.slice(axis + 1));
    const changed = change(tf.reshape(tensor, [outer, length, inner]), axis);
    return tf.reshape(changed, tensor.shape.with(axis, changed.shape[1]!));
  }, x);
}

/** (−1)ᵏ·sin(x − (k + shift)·π) for the k that brings the angle within ±π/2: sin x, and −cos x with a shift of ½. */
function alternating(x: tf.Tensor, shift: number): tf.Tensor {
  const k = tf.round(tf.sub(tf.mul(x, 1 / Math.PI), shift));
  const turns = tf.add(k, shift);
  // π in three parts, of which the first two have so few bits that their products are exact (Cody and Waite 1980).
  const parts = [3.140625, 9.67502593994140625e-4, 1.509957990978376432e-7];
  const angle = parts.reduce((rest, part) => tf.sub(rest, tf.mul(turns, part)), x);
  const square = tf.mul(angle, angle);
  // Taylor's series to the thirteenth power: the next term is below 7e-10.
  const series = [13, 11, 9, 7, 5, 3].reduce<tf.Tensor>(
    (sum, n) => tf.sub(1, tf.mul(tf.mul(square, 1 / (n * (n - 1))), sum)),
    tf.onesLike(x),
  );
  const odd = tf.sub(k, tf.mul(tf.floor(tf.mul(k, 0.5)), 2));
  return tf.mul(tf.mul(angle, series), tf.sub(1, tf.mul(odd, 2)));
}
