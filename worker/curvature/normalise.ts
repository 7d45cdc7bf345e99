import type { Operations } from '../engines/operations.js';
import { mapEachTangent, matrixShape, mulEachTangent, sumOfAxis, withoutParameters } from './layer.js';
import type { Layer, TangentMaps } from './layer.js';
import { repeated } from '../windows.js';

/**
 * x̂ = (x − μ)·r with r = 1/√(σ² + ε), mean and variance over the last axis (Ba and others 2016), without γ and β.
 * With J·t = r·(t − mean t − x̂·mean(x̂·t)), which is symmetric: Rx̂ = J·Rx and ∂x = J·δ, so
 * R∂x = J·Rδ − r·(mean(x̂·Rx)·∂x + mean(x̂·δ)·Rx̂ + x̂·mean(δ·Rx̂)).
 */
export function normaliseLayer<T>(
  ops: Operations<T>,
  name: string,
  positions: number,
  channels: number,
  epsilon: number,
): Layer<T> {
  const spread = repeated(positions, channels);
  const width = positions * channels;
  /** The mean over the last axis, at each of its places. */
  const mean = (tangent: T) =>
    mapEachTangent(ops, tangent, width, (rows) => {
      const count = matrixShape(ops, rows)[0];
      const sums = sumOfAxis(ops, ops.reshape(rows, [count * positions, channels]), 1);
      return ops.gatherColumns(ops.reshape(ops.scale(sums, 1 / channels), [count, positions]), spread);
    });
  const each = (factor: T, tangent: T) => mulEachTangent(ops, factor, tangent);
  const jacobian = (normal: T, scale: T, tangent: T) => {
    const centred = ops.sub(tangent, mean(tangent));
    return each(scale, ops.sub(centred, each(normal, mean(each(normal, tangent)))));
  };

  interface Kept {
    normal: T;
    scale: T;
    /** δ, ∂x and mean(x̂·δ); absent where no term carries δ. */
    back: { delta: T; inputDelta: T; along: T } | undefined;
  }
  const tangentMaps = ({ normal, scale, back }: Kept): TangentMaps<T> => ({
    held: [normal, scale, ...(back ? [back.delta, back.inputDelta, back.along] : [])],
    pieces: [],
    forward(_directions, [tangent]) {
      const outputTangent = jacobian(normal, scale, tangent!);
      return {
        outputTangent,
        backward(deltaTangent) {
          const linear = jacobian(normal, scale, deltaTangent);
          if (back === undefined) return { slices: [], inputDeltaTangents: [linear] };
          const bent = ops.add(
            ops.add(each(back.inputDelta, mean(each(normal, tangent!))), each(back.along, outputTangent)),
            each(normal, mean(each(back.delta, outputTangent))),
          );
          return { slices: [], inputDeltaTangents: [ops.sub(linear, each(scale, bent))] };
        },
      };
    },
    selectRows(indices) {
      const rows = (tensor: T) => ops.gatherRows(tensor, indices);
      const { delta, inputDelta, along } = back ?? {};
      return tangentMaps({
        normal: rows(normal),
        scale: rows(scale),
        back: delta &&
          inputDelta &&
          along && { delta: rows(delta), inputDelta: rows(inputDelta), along: rows(along) },
      });
    },
  });

  return {
    ...withoutParameters,
    name,
    forward([first]) {
      const centred = ops.sub(first!, mean(first!));
      const variance = mean(ops.mul(centred, centred));
      const scale = ops.div(ops.fill([1, 1], 1), ops.sqrt(ops.add(variance, ops.fill([1, 1], epsilon))));
      const normal = ops.mul(centred, scale);
      return {
        output: normal,
        backward(delta) {
          const inputDelta = jacobian(normal, scale, delta);
          return {
            slices: [],
            inputDeltas: [inputDelta],
            tangentMaps: (curvature) =>
              tangentMaps({
                normal,
                scale,
                back:
                  curvature === 'hessian'
                    ? { delta, inputDelta, along: mean(ops.mul(normal, delta)) }
                    : undefined,
              }),
          };
        },
      };
    },
  };
}
