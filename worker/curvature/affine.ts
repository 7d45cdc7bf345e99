import type { Operations } from '../engines/operations.js';
import { addPresent, mapEachTangent, mulEachTangent, sumOfPositions } from './layer.js';
import type { Layer, ParameterDirections, TangentMaps } from './layer.js';
import { cycled } from '../windows.js';

export interface AffineParameters<T> {
  /** 1 × channels each. */
  gamma: T | undefined;
  beta: T | undefined;
}

/**
 * h = γ·x + β a channel: what normalisations end in. ∂γ = Σ x·δ, ∂β = Σ δ, ∂x = γ·δ. Along (g, b):
 * Rh = g·x + b + γ·Rx;  R∂γ = Σ (x·Rδ + Rx·δ),  R∂β = Σ Rδ,  R∂x = γ·Rδ + g·δ.
 */
export function affineLayer<T>(
  ops: Operations<T>,
  name: string,
  positions: number,
  channels: number,
  { gamma, beta }: AffineParameters<T>,
  inputVaries: boolean,
): Layer<T> {
  const places = cycled(channels, positions);
  /** 1 × (K·channels) to 1 × (K·positions·channels). */
  const widen = (vectors: T) =>
    mapEachTangent(ops, vectors, channels, (rows) => ops.gatherColumns(rows, places));
  const narrow = (products: T) => sumOfPositions(ops, products, positions, channels);
  const parameters = [gamma, beta].filter((parameter) => parameter !== undefined);
  const [wideGamma, wideBeta] = [gamma && widen(gamma), beta && widen(beta)];
  const scaled = (tangent: T) =>
    wideGamma === undefined ? tangent : mulEachTangent(ops, wideGamma, tangent);
  const slicesOf = (ofGamma: T | undefined, delta: T) => [
    ...(ofGamma === undefined ? [] : [narrow(ofGamma)]),
    ...(beta === undefined ? [] : [narrow(delta)]),
  ];

  /** `input` is absent without γ, `delta` where no term carries it. */
  const tangentMaps = (input: T | undefined, delta: T | undefined): TangentMaps<T> => ({
    held: [input, delta].filter((tensor) => tensor !== undefined),
    pieces: [],
    forward(directions, [inputTangent]) {
      const own = input === undefined ? widenedBeta(directions) : directions!.forward(input);
      const through = inputTangent && scaled(inputTangent);
      return {
        outputTangent: addPresent(ops, own, through)!,
        backward(deltaTangent) {
          const ofGamma =
            input &&
            addPresent(
              ops,
              mulEachTangent(ops, input, deltaTangent),
              delta && inputTangent && mulEachTangent(ops, delta, inputTangent),
            );
          return {
            slices: slicesOf(ofGamma, deltaTangent),
            inputDeltaTangents: [
              inputVaries
                ? addPresent(ops, scaled(deltaTangent), delta && directions!.backward(delta))
                : undefined,
            ],
          };
        },
      };
    },
    selectRows: (rows) =>
      tangentMaps(input && ops.gatherRows(input, rows), delta && ops.gatherRows(delta, rows)),
  });
  /** Without γ the derivative along the parameters is the same for every row. */
  const widenedBeta = (directions: ParameterDirections<T> | undefined) => directions?.held[0];

  return {
    name,
    sliceCount: parameters.length,
    held: [...parameters, wideGamma, wideBeta].filter((tensor) => tensor !== undefined),
    forward([first]) {
      const input = first!;
      const product = wideGamma === undefined ? input : ops.mul(input, wideGamma);
      return {
        output: wideBeta === undefined ? product : ops.add(product, wideBeta),
        backward: (delta) => ({
          slices: slicesOf(gamma && ops.mul(input, delta), delta),
          inputDeltas: [inputVaries ? scaled(delta) : undefined],
          tangentMaps: (curvature) =>
            tangentMaps(gamma && input, gamma && inputVaries && curvature === 'hessian' ? delta : undefined),
        }),
      };
    },
    direct(slices) {
      const wide = slices.map(widen);
      const [gammas, betas] = gamma === undefined ? [undefined, wide[0]] : wide;
      return {
        held: wide,
        forward(input) {
          const product = mulEachTangent(ops, input, gammas!);
          return betas === undefined ? product : ops.add(product, betas);
        },
        backward: (delta) => mulEachTangent(ops, delta, gammas!),
      };
    },
  };
}
