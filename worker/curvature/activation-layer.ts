import type { Activation } from '../../protocol/model.js';
import type { Operations } from '../engines/operations.js';
import { evaluateActivation } from './activations.js';
import { mulEachTangent } from './layer.js';
import type { Layer, TangentMaps } from './layer.js';

/**
 * h = φ(z), elementwise. backward: ∂z = φ′(z)·δ. Along a tangent Rz: Rh = φ′·Rz, R∂z = φ′·Rδ + (φ″·δ)·Rz.
 * `name` is that of the layer it belongs to.
 */
export function activationLayer<T>(
  ops: Operations<T>,
  name: string,
  activation: Exclude<Activation, 'linear'>,
): Layer<T> {
  /** `slope` is φ′(z), `bend` φ″(z)·δ, absent where it is zero; `piecewise`: φ″ is zero wherever it exists. */
  const tangentMaps = (slope: T, bend: T | undefined, piecewise: boolean): TangentMaps<T> => ({
    held: bend === undefined ? [slope] : [slope, bend],
    pieces: piecewise ? [slope] : [],
    forward(_directions, inputTangent) {
      const input = inputTangent!;
      return {
        outputTangent: mulEachTangent(ops, slope, input),
        backward(deltaTangent) {
          const sloped = mulEachTangent(ops, slope, deltaTangent);
          return {
            slices: [],
            inputDeltaTangent:
              bend === undefined ? sloped : ops.add(sloped, mulEachTangent(ops, bend, input)),
          };
        },
      };
    },
    selectRows: (indices) =>
      tangentMaps(
        ops.gatherRows(slope, indices),
        bend === undefined ? undefined : ops.gatherRows(bend, indices),
        piecewise,
      ),
  });

  return {
    name,
    sliceCount: 0,
    held: [],
    forward(z) {
      const { value, first, second } = evaluateActivation(ops, activation, z);
      return {
        output: value,
        backward: (delta) => ({
          slices: [],
          inputDelta: ops.mul(first, delta),
          tangentMaps(curvature) {
            const bent = second !== undefined && curvature === 'hessian';
            return tangentMaps(first, bent ? ops.mul(second, delta) : undefined, second === undefined);
          },
        }),
      };
    },
    direct: () => undefined,
  };
}
