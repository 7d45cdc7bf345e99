import type { Operations } from '../engines/operations.js';
import { addPresent, mapEachTangent, matrixShape, sumOfRows } from './layer.js';
import type { Layer, ParameterDirections, TangentMaps } from './layer.js';

export interface DenseParameters<T> {
  /** inputs × units */
  kernel: T;
  /** 1 × units */
  bias: T | undefined;
}

/**
 * z = a·W + c, without its activation. Where no parameter decides the input, its delta is not computed.
 *
 * forward: z = a·W + c; backward: ∂W = aᵀ·δ, ∂c = Σ δ, ∂a = δ·Wᵀ. Along (V, v), with Ra the input's tangent:
 * Rz = a·V + v + Ra·W;  R∂W = aᵀ·Rδ + Raᵀ·δ,  R∂c = Σ Rδ,  R∂a = Rδ·Wᵀ + δ·Vᵀ.
 */
export function denseLayer<T>(
  ops: Operations<T>,
  name: string,
  { kernel, bias }: DenseParameters<T>,
  inputVaries: boolean,
): Layer<T> {
  const [inputs, units] = matrixShape(ops, kernel);
  const kernelTransposed = inputVaries ? ops.transpose(kernel, [1, 0]) : undefined;
  const parameters = bias === undefined ? [kernel] : [kernel, bias];

  const gradient = (inputTransposed: T, delta: T): [kernel: T, ...bias: T[]] => {
    const kernelGradient = ops.matmul(inputTransposed, delta);
    return bias === undefined ? [kernelGradient] : [kernelGradient, sumOfRows(ops, delta)];
  };
  const throughMatrix = (tangent: T, matrix: T) =>
    mapEachTangent(ops, tangent, matrixShape(ops, matrix)[0], (rows) => ops.matmul(rows, matrix));

  /** `delta` is absent where no term carries it. */
  const tangentMaps = (input: T, inputTransposed: T, delta: T | undefined): TangentMaps<T> => {
    const deltaTransposed = delta === undefined ? undefined : ops.transpose(delta, [1, 0]);
    return {
      held: [input, inputTransposed, delta, deltaTransposed].filter((tensor) => tensor !== undefined),
      pieces: [],
      forward(directions, [inputTangent]) {
        const throughInput = inputTangent === undefined ? undefined : throughMatrix(inputTangent, kernel);
        return {
          outputTangent: addPresent(ops, directions!.forward(input), throughInput),
          backward(deltaTangent) {
            const [kernelSlice, ...biasSlice] = gradient(inputTransposed, deltaTangent);
            const throughDelta =
              inputTangent === undefined || deltaTransposed === undefined
                ? undefined
                : transposedOuter(ops, deltaTransposed, inputTangent, inputs);
            return {
              slices: [addPresent(ops, kernelSlice, throughDelta), ...biasSlice],
              inputDeltaTangents: [
                kernelTransposed === undefined
                  ? undefined
                  : addPresent(
                      ops,
                      throughMatrix(deltaTangent, kernelTransposed),
                      delta === undefined ? undefined : directions!.backward(delta),
                    ),
              ],
            };
          },
        };
      },
      selectRows(indices) {
        const rows = ops.gatherRows(input, indices);
        const deltaRows = delta === undefined ? undefined : ops.gatherRows(delta, indices);
        return tangentMaps(rows, ops.transpose(rows, [1, 0]), deltaRows);
      },
    };
  };

  return {
    name,
    sliceCount: parameters.length,
    held: kernelTransposed === undefined ? parameters : [...parameters, kernelTransposed],
    forward([first]) {
      const input = first!;
      const product = ops.matmul(input, kernel);
      return {
        output: bias === undefined ? product : ops.add(product, bias),
        backward(delta) {
          const inputTransposed = ops.transpose(input, [1, 0]);
          return {
            slices: gradient(inputTransposed, delta),
            inputDeltas: [kernelTransposed === undefined ? undefined : ops.matmul(delta, kernelTransposed)],
            tangentMaps: (curvature) =>
              tangentMaps(input, inputTransposed, inputVaries && curvature === 'hessian' ? delta : undefined),
          };
        },
      };
    },
    direct: ([kernels, biases]) =>
      kernels === undefined
        ? undefined
        : denseDirections(ops, kernels, biases, inputVaries ? { inputs, units } : undefined),
    patches: (input) => input,
  };
}

/** V as inputs × (K·units) and v as 1 × (K·units); where a delta is passed on, Vᵀ too, as units × (K·inputs). */
function denseDirections<T>(
  ops: Operations<T>,
  kernels: T,
  biases: T | undefined,
  kernelShape: { inputs: number; units: number } | undefined,
): ParameterDirections<T> {
  const transposed = kernelShape && transposeEach(ops, kernels, kernelShape.units);
  return {
    held: transposed === undefined ? [] : [transposed],
    forward(input) {
      const product = ops.matmul(input, kernels);
      return biases === undefined ? product : ops.add(product, biases);
    },
    backward: (delta) => ops.matmul(delta, transposed!),
  };
}

/** Raᵀ·δ for K tangents: inputs × (K·units), computed as (δᵀ·Ra)ᵀ, so that the small result is transposed. */
function transposedOuter<T>(ops: Operations<T>, deltaTransposed: T, inputTangent: T, inputs: number): T {
  return transposeEach(ops, ops.matmul(deltaTransposed, inputTangent), inputs);
}

/** m × (K·n), K matrices side by side, to n × (K·m): each of them transposed. */
export function transposeEach<T>(ops: Operations<T>, matrices: T, columns: number): T {
  const [rows, width] = matrixShape(ops, matrices);
  const count = width / columns;
  const cube = ops.reshape(matrices, [rows, count, columns]);
  return ops.reshape(ops.transpose(cube, [2, 1, 0]), [columns, count * rows]);
}
