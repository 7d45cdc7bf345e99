import { dirname } from 'node:path';
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs';
import { BackendWasm, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { TooLargeError, UnsupportedError } from '../../protocol/errors.js';
import type { Engine, EngineMemory } from './engine.js';
import { copyColumns, copyRowsById, addColumns, addRowsById, checkIds } from './host-copies.js';
import type { ConvolutionOptions } from './operations.js';
import { loadTensorflow } from './tensorflow/load.js';

export type TfjsTensor = tf.Tensor;
/** Fastest first. */
export const tfjsBackends = ['tensorflow', 'wasm', 'cpu'] as const;
export type TfjsBackend = (typeof tfjsBackends)[number];

/**
 * Starts a TensorFlow.js backend in this thread (wasm: one single-threaded instance, its binary read from the
 * installed package; tensorflow: libtensorflow, if it has been built). Throws `UnsupportedError` if it does not start.
 */
export async function openTfjs(backend: TfjsBackend): Promise<Engine<TfjsTensor>> {
  // Silences the advice to install tfjs-node, and leaves out the debug checks.
  tf.enableProdMode();
  let version = `TensorFlow.js ${tf.version_core}`;
  if (backend === 'tensorflow') {
    const library = loadTensorflow();
    version += `, TensorFlow ${library.version} (${library.device})`;
  }
  try {
    if (backend === 'wasm' && tf.findBackend('wasm') === null) setWasmPaths(wasmFolder());
    if (!(await tf.setBackend(backend))) throw new Error('the backend did not initialise');
  } catch (cause) {
    throw new UnsupportedError(`engine "${backend}" does not start here: ${messageOf(cause)}`, {
      hint: 'use --engine auto, which takes the first engine that starts',
      details: { engine: backend },
      cause,
    });
  }
  return new TfjsEngine(backend, version);
}

function wasmFolder(): string {
  const binary = '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm';
  return `${dirname(createRequire(import.meta.url).resolve(binary))}/`;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : JSON.stringify(error));

class TfjsEngine implements Engine<tf.Tensor> {
  readonly #backend = tf.backend();
  readonly #packedShapes = new WeakMap<object, string>();

  constructor(
    readonly name: TfjsBackend,
    readonly version: string,
  ) {}

  memory(): EngineMemory {
    const { numTensors, numBytes } = tf.memory();
    return { tensors: numTensors, bytes: numBytes };
  }

  upload(values: Float32Array, shape: readonly number[]) {
    return this.#run(() => tf.tensor(this.#own(values), [...shape], 'float32'));
  }

  async download(a: tf.Tensor) {
    return this.#own(await a.data<'float32'>());
  }

  /** All backends but wasm keep the very array they are given, and give it back. */
  #own(values: Float32Array) {
    return this.name === 'wasm' ? values : values.slice();
  }

  tidy<R>(work: () => R, kept: (result: R) => readonly tf.Tensor[]): R {
    const box: { result?: { value: R } } = {};
    this.#run(() =>
      tf.tidy(() => {
        const value = work();
        for (const tensor of kept(value)) tf.keep(tensor);
        box.result = { value };
      }),
    );
    return box.result!.value;
  }

  dispose(tensors: readonly tf.Tensor[]) {
    tf.dispose([...tensors]);
  }

  shape(a: tf.Tensor) {
    return a.shape;
  }

  constant(values: Float32Array, shape: readonly number[]) {
    return this.upload(values, shape);
  }

  fill(shape: readonly number[], value: number) {
    return this.#run(() => tf.fill([...shape], value));
  }

  matmul(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
    return this.#withPacked(b, (right) => tf.matMul(a, right));
  }

  conv2d(a: tf.Tensor, kernel: tf.Tensor, { strides, dilation, padding }: ConvolutionOptions): tf.Tensor {
    const around = [[0, 0], [...padding[0]], [...padding[1]], [0, 0]] as tf.backend_util.ExplicitPadding;
    return this.#withPacked(kernel, (packed) =>
      tf.conv2d(a as tf.Tensor4D, packed as tf.Tensor4D, [...strides], around, 'NHWC', [...dilation]),
    );
  }

  /**
   * The wasm backend packs a right operand or kernel once and keeps the packing by data id: the same data seen
   * through another shape would be read wrongly, without an error. Such a view is copied first.
   */
  #withPacked(operand: tf.Tensor, operation: (operand: tf.Tensor) => tf.Tensor): tf.Tensor {
    const shape = operand.shape.join('×');
    const packed = this.#packedShapes.get(operand.dataId);
    if (packed === undefined) this.#packedShapes.set(operand.dataId, shape);
    if (packed === undefined || packed === shape) return this.#run(() => operation(operand));
    return this.#run(() => tf.tidy(() => operation(tf.mul(operand, 1))));
  }

  transpose(a: tf.Tensor, order: readonly number[]) {
    return this.#run(() => tf.transpose(a, [...order]));
  }

  reshape(a: tf.Tensor, shape: readonly number[]): tf.Tensor {
    return this.#run(() => tf.reshape(a, [...shape]));
  }

  add(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
    return this.#run(() => tf.add(a, b));
  }

  sub(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
    return this.#run(() => tf.sub(a, b));
  }

  mul(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
    return this.#run(() => tf.mul(a, b));
  }

  div(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
    return this.#run(() => tf.div(a, b));
  }

  scale(a: tf.Tensor, factor: number): tf.Tensor {
    return this.#run(() => tf.mul(a, factor));
  }

  exp(a: tf.Tensor) {
    return this.#run(() => tf.exp(a));
  }

  log(a: tf.Tensor) {
    return this.#run(() => tf.log(a));
  }

  tanh(a: tf.Tensor) {
    return this.#run(() => tf.tanh(a));
  }

  sigmoid(a: tf.Tensor) {
    return this.#run(() => tf.sigmoid(a));
  }

  sqrt(a: tf.Tensor) {
    return this.#run(() => tf.sqrt(a));
  }

  erf(a: tf.Tensor) {
    return this.#run(() => tf.erf(a));
  }

  softplus(a: tf.Tensor) {
    return this.#run(() => tf.softplus(a));
  }

  relu(a: tf.Tensor) {
    return this.#run(() => tf.relu(a));
  }

  step(a: tf.Tensor) {
    return this.#run(() => tf.step(a));
  }

  sum(a: tf.Tensor, axis: number): tf.Tensor {
    return this.#run(() => tf.sum(a, axis, true));
  }

  max(a: tf.Tensor, axis: number): tf.Tensor {
    return this.#run(() => tf.max(a, axis, true));
  }

  concat(parts: readonly tf.Tensor[], axis: number): tf.Tensor {
    return this.#run(() => tf.concat([...parts], axis));
  }

  /** `tf.slice` on wasm copies all that it cuts from. */
  sliceRows(a: tf.Tensor, from: number, to: number) {
    const width = a.size / a.shape[0];
    return this.#onHost([to - from, ...a.shape.slice(1)], [a], (target, source) =>
      target.set(source.subarray(from * width, to * width)),
    );
  }

  gatherRows(a: tf.Tensor, indices: Int32Array): tf.Tensor {
    if (this.name === 'tensorflow')
      return this.#run(() => tf.tidy(() => tf.gather(a, tf.tensor1d(indices.slice(), 'int32'))));
    const width = a.size / a.shape[0];
    return this.#onHost([indices.length, ...a.shape.slice(1)], [a], (target, source) => {
      for (const [place, row] of indices.entries())
        target.set(source.subarray(row * width, (row + 1) * width), place * width);
    });
  }

  gatherColumns(a: tf.Tensor, indices: Int32Array) {
    const [rows, columns] = a.shape as [number, number];
    return this.#onHost([rows, indices.length], [a], (target, source) =>
      copyColumns(source, target, indices, columns),
    );
  }

  scatterColumns(a: tf.Tensor, indices: Int32Array, columns: number) {
    return this.#onHost([a.shape[0], columns], [a], (target, source) =>
      addColumns(source, target, indices, columns),
    );
  }

  lookupRows(a: tf.Tensor, ids: tf.Tensor) {
    const [rows, width] = a.shape as [number, number];
    return this.#onHost([ids.size, width], [a, ids], (target, source, numbers) =>
      copyRowsById(source, target, checkIds(numbers, rows), width),
    );
  }

  scatterRows(a: tf.Tensor, ids: tf.Tensor, rows: number) {
    const width = a.shape[1]!;
    return this.#onHost([rows, width], [a, ids], (target, source, numbers) =>
      addRowsById(source, target, checkIds(numbers, rows), width),
    );
  }

  /** wasm and cpu keep their tensors on the host, where copying takes a twentieth of what `tf.gather` takes. */
  #onHost(
    shape: number[],
    inputs: readonly tf.Tensor[],
    work: (target: Float32Array, ...sources: Float32Array[]) => void,
  ): tf.Tensor {
    const backend = this.#backend;
    return this.#run(() => {
      if (backend instanceof BackendWasm) {
        const target = tf.engine().makeTensorFromTensorInfo(backend.makeOutput(shape, 'float32'));
        this.#checkAllocated(target);
        // The views come after the allocation, which may move the heap.
        const view = (tensor: tf.Tensor) => backend.typedArrayFromHeap(tensor) as Float32Array;
        work(view(target), ...inputs.map(view));
        return target;
      }
      const target = new Float32Array(shape.reduce((product, length) => product * length, 1));
      work(target, ...inputs.map((tensor) => tensor.dataSync<'float32'>()));
      return tf.tensor(target, shape, 'float32');
    });
  }

  /** TensorFlow.js has one current backend a thread; several engines may live in it. */
  #run<R>(operation: () => R): R {
    // For a backend that has started this takes effect before the promise is returned.
    if (tf.getBackend() !== this.name) void tf.setBackend(this.name);
    const result = operation();
    if (result instanceof tf.Tensor) this.#checkAllocated(result);
    return result;
  }

  /** Where wasm memory (4 GiB a thread) is used up, the backend goes on at address 0 instead of failing. */
  #checkAllocated(tensor: tf.Tensor) {
    if (!(this.#backend instanceof BackendWasm) || this.#backend.getMemoryOffset(tensor.dataId) !== 0) return;
    throw new TooLargeError("the engine's memory is used up: wasm has 4 GiB a thread", {
      hint: 'give the worker a smaller cache, or ask for fewer right-hand sides at once or smaller leaves; restart this thread',
      details: { engine: this.name, shape: tensor.shape, bytes: tf.memory().numBytes },
    });
  }
}
