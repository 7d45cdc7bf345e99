import type { Operations } from '../engines/operations.js';
import type { WindowGeometry } from '../windows.js';
import { cycled, inputSize, positionsOf, windowIndices } from '../windows.js';
import { addPresent, mapEachTangent, matrixShape, sumOfPositions } from './layer.js';
import type { Layer, ParameterDirections, TangentMaps } from './layer.js';

export interface ConvolutionParameters<T> {
  /** (taps·channels) × filters */
  kernel: T;
  /** 1 × filters */
  bias: T | undefined;
}

/** Windows of fewer values a line are worth keeping: laying them out takes longer than reading them. */
const shortLine = 16;

/**
 * z = a ∗ W + c over rows of height × width × channels, without its activation; with a 1 × 1 window, Dense on the last
 * axis. With ∗ᵀ the adjoint of ∗ in each of its arguments, the maps are those of Dense:
 * ∂W = a ∗ᵀ δ, ∂c = Σ δ, ∂a = δ ∗ᵀ W;  Rz = a ∗ V + v + Ra ∗ W;  R∂W = a ∗ᵀ Rδ + Ra ∗ᵀ δ,  R∂a = Rδ ∗ᵀ W + δ ∗ᵀ V.
 */
export function convolutionLayer<T>(
  ops: Operations<T>,
  name: string,
  windowGeometry: WindowGeometry,
  { kernel, bias }: ConvolutionParameters<T>,
  inputVaries: boolean,
): Layer<T> {
  const [inputs, filters] = matrixShape(ops, kernel);
  const geometry = { ...windowGeometry, filters };
  const positions = positionsOf(geometry);
  const parameters = bias === undefined ? [kernel] : [kernel, bias];
  const biasPlaces = cycled(filters, positions);
  /** 1 × (K·filters) to 1 × (K·positions·filters). */
  const atPositions = (biases: T) =>
    mapEachTangent(ops, biases, filters, (rows) => ops.gatherColumns(rows, biasPlaces));
  const wideBias = bias && atPositions(bias);
  let places: Int32Array | undefined;

  const windowsOf = (rows: T) => ops.windows(rows, geometry);
  const keepsWindows = geometry.size[1] * geometry.channels < shortLine;
  /** b × (K·width) to (b·K) × width, and back. */
  const eachRow = (tangent: T, width: number) => {
    const [rows, columns] = matrixShape(ops, tangent);
    return ops.reshape(tangent, [(rows * columns) / width, width]);
  };
  const allRows = (eachOfThem: T, of: T) => {
    const [n, width] = matrixShape(ops, eachOfThem);
    const [rows] = matrixShape(ops, of);
    return ops.reshape(eachOfThem, [rows, (n * width) / rows]);
  };
  const gradients = (windows: T, delta: T, more?: T) => {
    const rows = eachRow(delta, positions * filters);
    const ofKernel = addPresent(ops, ops.kernelGradient(windows, rows, geometry), more);
    return bias === undefined ? [ofKernel] : [ofKernel, sumOfPositions(ops, delta, positions, filters)];
  };
  const back = (delta: T) =>
    mapEachTangent(ops, delta, positions * filters, (rows) => ops.convolveBack(rows, kernel, geometry));

  /** `kept` is the input, or its windows where those are kept; `delta` is absent where no term carries it. */
  const tangentMaps = (kept: T, delta: T | undefined): TangentMaps<T> => ({
    held: delta === undefined ? [kept] : [kept, delta],
    pieces: [],
    forward(directions, [inputTangent]) {
      const windows = keepsWindows ? kept : windowsOf(kept);
      const tangentWindows = inputTangent && windowsOf(eachRow(inputTangent, inputSize(geometry)));
      return {
        outputTangent: addPresent(
          ops,
          directions!.forward(windows),
          tangentWindows && allRows(ops.convolve(tangentWindows, kernel, geometry), kept),
        ),
        backward: (deltaTangent) => ({
          slices: gradients(
            windows,
            deltaTangent,
            tangentWindows && delta && ops.kernelGradient(tangentWindows, delta, geometry),
          ),
          inputDeltaTangents: [
            inputVaries
              ? addPresent(ops, back(deltaTangent), delta && directions!.backward(delta))
              : undefined,
          ],
        }),
      };
    },
    selectRows: (indices) =>
      tangentMaps(ops.gatherRows(kept, indices), delta && ops.gatherRows(delta, indices)),
  });

  /** V as (taps·channels) × (K·filters), v as 1 × (K·filters). */
  const direct = ([kernels, biases]: readonly T[]): ParameterDirections<T> => {
    const wideBiases = biases && atPositions(biases);
    return {
      held: wideBiases === undefined ? [] : [wideBiases],
      forward: (windows) => addPresent(ops, ops.convolve(windows, kernels!, geometry), wideBiases),
      backward: (delta) => ops.convolveBack(delta, kernels!, geometry),
    };
  };

  return {
    name,
    sliceCount: parameters.length,
    held: wideBias === undefined ? parameters : [...parameters, wideBias],
    forward([first]) {
      const windows = windowsOf(first!);
      return {
        output: addPresent(ops, ops.convolve(windows, kernel, geometry), wideBias),
        backward: (delta) => ({
          slices: gradients(windows, delta),
          inputDeltas: [inputVaries ? back(delta) : undefined],
          tangentMaps: (curvature) =>
            tangentMaps(
              keepsWindows ? windows : first!,
              inputVaries && curvature === 'hessian' ? delta : undefined,
            ),
        }),
      };
    },
    direct,
    patches(input) {
      places ??= windowIndices(geometry, 'channels');
      const [rows] = matrixShape(ops, input);
      return ops.reshape(ops.gatherColumns(input, places), [rows * positions, inputs]);
    },
  };
}
