import { Writer } from 'protobufjs/minimal.js';
import { gram } from '../solvers/panels.js';
import { row } from '../solvers/vectors.js';

/** A·Bᵀ in float64, for A (m × inner) and B (n × inner), both row by row; m × n, in a new array. */
export type MatrixProduct = (a: Float64Array, b: Float64Array, inner: number) => Promise<Float64Array>;

/**
 * ONNX Runtime's float64 Gemm on one thread, so that the bits do not depend on the number of cores; where that optional
 * package is not there, the WebAssembly of `panels.ts`, which is some 5 times slower.
 */
export async function openMatrixProduct(): Promise<{ product: MatrixProduct; by: string }> {
  return onnxProduct().then(
    (product) => ({ product, by: 'onnxruntime' }),
    () => ({ product: plainProduct, by: 'wasm' }),
  );
}

/** Rejects where onnxruntime-node is not installed. */
export async function onnxProduct(): Promise<MatrixProduct> {
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const session = await InferenceSession.create(gemm(), { intraOpNumThreads: 1 });
  return async (a, b, inner) => {
    const matrix = (values: Float64Array) => new Tensor('float64', values, [values.length / inner, inner]);
    const { C } = await session.run({ A: matrix(a), B: matrix(b) });
    return C!.data as Float64Array;
  };
}

export const plainProduct: MatrixProduct = (a, b, inner) => {
  const rows = (matrix: Float64Array) =>
    Array.from({ length: matrix.length / inner }, (_, i) => row(matrix, i, inner));
  return Promise.resolve(gram(rows(a), rows(b)));
};

const float64 = 11;
const integerAttribute = 2;

/** An ONNX model (opset 13, field numbers of onnx.proto) of one node: C = Gemm(A, B, transB = 1). */
function gemm(): Uint8Array {
  const model = Writer.create();
  const integer = (tag: number, value: number) => model.uint32(tag << 3).int64(value);
  const text = (tag: number, value: string) => model.uint32((tag << 3) | 2).string(value);
  const message = (tag: number, write: () => void) => {
    model.uint32((tag << 3) | 2).fork();
    write();
    model.ldelim();
  };
  const matrix = (tag: number, name: string) =>
    message(tag, () => {
      text(1, name);
      message(2, () =>
        message(1, () => {
          integer(1, float64);
          message(2, () => {
            for (const dimension of ['rows', 'columns']) message(1, () => text(2, name + dimension));
          });
        }),
      );
    });
  integer(1, 8);
  message(7, () => {
    message(1, () => {
      text(1, 'A');
      text(1, 'B');
      text(2, 'C');
      text(4, 'Gemm');
      message(5, () => {
        text(1, 'transB');
        integer(3, 1);
        integer(20, integerAttribute);
      });
    });
    text(2, 'product');
    matrix(11, 'A');
    matrix(11, 'B');
    matrix(12, 'C');
  });
  message(8, () => integer(2, 13));
  return model.finish();
}
