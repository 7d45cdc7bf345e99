import * as tf from '@tensorflow/tfjs';
import { UnsupportedError } from '../../../protocol/errors.js';
import { attributes, type Executed, type Rule } from '../rule.js';

const product = (lengths: readonly number[]) => lengths.reduce((all, length) => all * length, 1);
const valuesOf = (inputs: Executed['inputs']) => Object.entries(inputs);

/** y has the values of the one input in their order. */
const reshaped: Rule = ([dy], { inputs }) => {
  const [[name, input]] = valuesOf(inputs) as [[string, tf.Tensor]];
  return { [name]: () => tf.reshape(dy!, input.shape) };
};

/** Rows of a matrix by number, and its adjoint: the pair closes every gradient of gathering. */
const gatherRules: Record<string, Rule> = {
  GatherNd: ([dy], { inputs }) => {
    const { params, indices } = inputs as { params: tf.Tensor; indices: tf.Tensor };
    return { params: () => tf.scatterND(indices, dy!, params.shape) };
  },
  ScatterNd: ([dy], { inputs }) => ({ updates: () => tf.gatherND(dy!, inputs.indices!) }),
  GatherV2: ([dy], executed) => {
    const { x, indices } = executed.inputs as { x: tf.Tensor; indices: tf.Tensor };
    const { axis, batchDims } = attributes<tf.GatherV2Attrs>(executed);
    if (batchDims)
      throw new UnsupportedError('tf.gather with batchDims has no verified gradient here', {
        hint: 'gather without batchDims, for example from a reshaped tensor',
        details: { kernel: 'GatherV2' },
      });
    return {
      x: () => {
        const along = tf.util.parseAxisParam(axis, x.shape)[0]!;
        const before = product(x.shape.slice(0, along));
        const after = product(x.shape.slice(along + 1));
        const width = x.shape[along]!;
        const rows = tf.reshape(tf.transpose(tf.reshape(dy!, [before, indices.size, after]), [1, 0, 2]), [
          indices.size,
          before * after,
        ]);
        const summed = tf.scatterND(tf.reshape(tf.cast(indices, 'int32'), [indices.size, 1]), rows, [
          width,
          before * after,
        ]);
        const back = tf.transpose(tf.reshape(summed, [width, before, after]), [1, 0, 2]);
        return tf.reshape(back, x.shape);
      },
    };
  },
};

export const arrangementRules: Record<string, Rule> = {
  ...gatherRules,
  Identity: ([dy]) => ({ x: () => dy! }),
  Cast: ([dy], { inputs }) => (inputs.x!.dtype === 'float32' ? { x: () => dy! } : {}),
  Reshape: reshaped,
  ExpandDims: reshaped,
  Transpose: ([dy], executed) => {
    const { perm } = attributes<tf.TransposeAttrs>(executed);
    return {
      x: () =>
        tf.transpose(
          dy!,
          perm.map((_, axis) => perm.indexOf(axis)),
        ),
    };
  },
  Reverse: ([dy], executed) => ({ x: () => tf.reverse(dy!, attributes<tf.ReverseAttrs>(executed).dims) }),
  Slice: ([dy], executed) => {
    const x = executed.inputs.x!;
    const { begin } = attributes<{ begin: number | number[] }>(executed);
    const from = [begin].flat();
    return {
      x: () =>
        tf.pad(
          dy!,
          x.shape.map((length, axis): [number, number] => {
            const start = from[axis] ?? 0;
            return [start, length - start - dy!.shape[axis]!];
          }),
        ),
    };
  },
  PadV2: ([dy], executed) => {
    const x = executed.inputs.x!;
    const { paddings } = attributes<tf.PadV2Attrs>(executed);
    return {
      x: () =>
        tf.slice(
          dy!,
          paddings.map(([before]) => before),
          x.shape,
        ),
    };
  },
  /** For each repeated axis: the sum over its repeats. */
  Tile: ([dy], executed) => {
    const x = executed.inputs.x!;
    const { reps } = attributes<tf.TileAttrs>(executed);
    return {
      x: () => {
        let gradient = dy!;
        for (const [axis, count] of reps.entries()) {
          if (count === 1) continue;
          const before = product(gradient.shape.slice(0, axis));
          const inner = product(gradient.shape.slice(axis)) / count;
          const summed = tf.sum(tf.reshape(gradient, [before, count, inner]), 1);
          const shape = gradient.shape.map((length, i) => (i === axis ? length / count : length));
          gradient = tf.reshape(summed, shape);
        }
        return tf.reshape(gradient, x.shape);
      },
    };
  },
  Concat: ([dy], executed) => {
    const along = tf.util.parseAxisParam(attributes<tf.ConcatAttrs>(executed).axis, dy!.shape)[0]!;
    let end = 0;
    return Object.fromEntries(
      valuesOf(executed.inputs).map(([name, input]) => {
        const begin = dy!.shape.map((_, axis) => (axis === along ? end : 0));
        end += input.shape[along]!;
        return [name, () => tf.slice(dy!, begin, input.shape)] as const;
      }),
    );
  },
  Pack: ([dy], executed) => {
    const along = tf.util.parseAxisParam(attributes<tf.PackAttrs>(executed).axis, dy!.shape)[0]!;
    return Object.fromEntries(
      valuesOf(executed.inputs).map(([name, input], index) => {
        const begin = dy!.shape.map((_, axis) => (axis === along ? index : 0));
        const size = dy!.shape.map((length, axis) => (axis === along ? 1 : length));
        return [name, () => tf.reshape(tf.slice(dy!, begin, size), input.shape)] as const;
      }),
    );
  },
  Unpack: (dy, executed) => ({ value: () => tf.stack([...dy], attributes<tf.UnpackAttrs>(executed).axis) }),
  SplitV: (dy, executed) => ({ x: () => tf.concat([...dy], attributes<tf.SplitVAttrs>(executed).axis) }),
};
