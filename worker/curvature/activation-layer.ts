import type { Activation } from '../../protocol/model.js';
import type { Operations } from '../engines/operations.js';
import { evaluateActivation } from './activations.js';
import { mulEachTangent, withoutParameters } from './layer.js';
import type { Layer, TangentMaps } from './layer.js';

/**
 * h = φ(z), elementwise. backward: ∂z = φ′(z)·δ. Along a tangent Rz: Rh = φ′·Rz, R∂z = φ′·Rδ + (φ″·δ)·Rz.
 * `name` is that of the layer it belongs to.
 */
export function activationLayer<T>(
  ops: Operations<T>,
  name: string,
  activation: Exclude<Activation, 'linear'>,
  alpha?: number,
): Layer<T> {
  /** `slope` is φ′(z), `bend` φ″(z)·δ, absent where it is zero, `piece` tells the pieces of φ apart. */
  const tangentMaps = (slope: T, bend: T | undefined, piece: T | undefined): TangentMaps<T> => ({
    held: [slope, bend, piece].filter((tensor) => tensor !== undefined),
    pieces: piece === undefined ? [] : [piece],
    forward(_directions, [inputTangent]) {
      const input = inputTangent!;
      return {
        outputTangent: mulEachTangent(ops, slope, input),
        backward(deltaTangent) {
          const sloped = mulEachTangent(ops, slope, deltaTangent);
          return {
            slices: [],
            inputDeltaTangents: [
              bend === undefined ? sloped : ops.add(sloped, mulEachTangent(ops, bend, input)),
            ],
          };
        },
      };
    },
    selectRows(indices) {
      const rows = (tensor: T | undefined) => tensor && ops.gatherRows(tensor, indices);
      return tangentMaps(ops.gatherRows(slope, indices), rows(bend), rows(piece));
    },
  });

  return {
    ...withoutParameters,
    name,
    forward([z]) {
      const { value, first, second, piece } = evaluateActivation(ops, activation, z!, alpha);
      return {
        output: value,
        backward: (delta) => ({
          slices: [],
          inputDeltas: [ops.mul(first, delta)],
          tangentMaps: (curvature) =>
            tangentMaps(
              first,
              second !== undefined && curvature === 'hessian' ? ops.mul(second, delta) : undefined,
              piece,
            ),
        }),
      };
    },
  };
}
