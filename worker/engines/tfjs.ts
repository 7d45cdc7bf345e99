import { dirname } from 'node:path';
import { createRequire } from 'node:module';
import { types } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { BackendWasm, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { TooLargeError, UnsupportedError } from '../../protocol/errors.js';
import type { Engine, EngineMemory } from './engine.js';
import { memoryAdvice } from './memory-advice.js';
import { isOnGpu } from './names.js';
import type { EagerName } from './names.js';
import { checkAllocated, memoryUsedUp } from './wasm-memory.js';
import { copyColumns, copyRowsById, addColumns, addRowsById, checkIds } from './host-copies.js';
import * as eager from './eager-convolution.js';
import type { ConvolutionOptions } from './eager-convolution.js';
import { loadTensorflow } from './tensorflow/load.js';
import * as onDevice from './device-copies.js';
import { largeTiles, matmulProgram, setMatmulProgram, startWebgpu } from './webgpu.js';
import type { Webgpu } from './webgpu.js';
import type { ConvolutionGeometry } from '../windows.js';

export type TfjsTensor = tf.Tensor;

/**
 * Starts a TensorFlow.js backend in this thread (wasm: one single-threaded instance, its binary read from the
 * installed package; tensorflow and tensorflow-gpu: libtensorflow, if it has been built; webgpu: `onCpu` allows an
 * adapter that is no GPU).
 * Throws `UnsupportedError` if it does not start.
 */
export async function openTfjs(
  name: EagerName,
  { onCpu = false }: { onCpu?: boolean } = {},
): Promise<Engine<TfjsTensor>> {
  // Silences the advice to install tfjs-node, and leaves out the debug checks.
  tf.enableProdMode();
  let version = `TensorFlow.js ${tf.version_core}`;
  if (name === 'webgpu') {
    const webgpu = await startWebgpu({ onCpu });
    return new TfjsEngine(name, `${version}, WebGPU on ${webgpu.description}`, webgpu);
  }
  if (name === 'tensorflow' || name === 'tensorflow-gpu') {
    const library = loadTensorflow(name === 'tensorflow' ? 'cpu' : 'gpu');
    version += `, TensorFlow ${library.version} (${library.device})`;
  }
  const backend = backendOf(name);
  try {
    if (backend === 'wasm' && tf.findBackend('wasm') === null) setWasmPaths(wasmFolder());
    if (!(await tf.setBackend(backend))) throw new Error('the backend did not initialise');
  } catch (cause) {
    throw new UnsupportedError(`engine "${name}" does not start here: ${messageOf(cause)}`, {
      hint: 'use --engine auto, which takes the first engine that starts',
      details: { engine: name },
      cause,
    });
  }
  return new TfjsEngine(name, version);
}

/** The TensorFlow.js backend of an engine. */
const backendOf = (name: EagerName) => (name === 'tensorflow-gpu' ? 'tensorflow' : name);

function wasmFolder(): string {
  const binary = '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm';
  return `${dirname(createRequire(import.meta.url).resolve(binary))}/`;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : JSON.stringify(error));

/**
 * Of the 4 GiB of a thread: 1 GiB is for the work on one leaf, and of the kept tensors each may have been the right
 * operand of a product, of which wasm then holds a packed copy of the same size.
 */
const wasmKeepLimit = 1.5 * 2 ** 30;

/**
 * Of a CPU: wider passes are slower, as their tensors are further from its caches; libtensorflow gains more from wide
 * products, up to here. A GPU wants wide ones.
 */
const workBytes = { cpu: 64 * 2 ** 20, tensorflow: 256 * 2 ** 20, gpu: 2 ** 30 };

class TfjsEngine implements Engine<tf.Tensor> {
  readonly keepLimit: number;
  readonly workBytes: number;
  readonly read?: (a: tf.Tensor, use: (values: Float32Array) => void) => void;
  readonly #backendName: string;
  readonly #backend: tf.KernelBackend;
  readonly #packedShapes = new WeakMap<object, string>();
  /** tfjs-node gives a view another data id. */
  readonly #viewed = new WeakMap<object, object>();
  readonly #webgpu: Webgpu | undefined;
  #broken: TooLargeError | undefined;

  constructor(
    readonly name: EagerName,
    readonly version: string,
    webgpu?: Webgpu,
  ) {
    this.keepLimit = name === 'wasm' ? wasmKeepLimit : Infinity;
    this.workBytes = workBytes[isOnGpu(name) ? 'gpu' : name === 'tensorflow' ? name : 'cpu'];
    this.#backendName = backendOf(name);
    this.#backend = tf.engine().findBackend(this.#backendName);
    this.#webgpu = webgpu;
    if (!isOnGpu(name)) this.read = (a, use) => use(this.#run(() => this.#view(a)));
  }

  /** Values that lie there are not read for a copy. */
  get #isOnGpu() {
    return isOnGpu(this.name);
  }

  memory(): EngineMemory {
    const { numTensors, numBytes } = tf.memory();
    return { tensors: numTensors, bytes: numBytes };
  }

  upload(values: Float32Array, shape: readonly number[]) {
    return this.#run(() => tf.tensor(this.#own(values), [...shape], 'float32'));
  }

  async download(a: tf.Tensor) {
    try {
      const values = await a.data<'float32'>();
      return this.#backendName === 'tensorflow' && isComputed(this.#backend, a) ? values : this.#own(values);
    } finally {
      this.#webgpu?.check();
    }
  }

  /** Of a tensor on the host, valid until the next operation. */
  #view(a: tf.Tensor): Float32Array {
    return this.#backend instanceof BackendWasm
      ? (this.#backend.typedArrayFromHeap(a) as Float32Array)
      : a.dataSync<'float32'>();
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

  bytesOf(tensors: readonly tf.Tensor[]) {
    const sizes = new Map(tensors.map((tensor) => [this.#dataOf(tensor), tensor.size]));
    return 4 * [...sizes.values()].reduce((sum, size) => sum + size, 0);
  }

  #dataOf({ dataId }: tf.Tensor): object {
    return this.#viewed.get(dataId) ?? dataId;
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
    if (this.#webgpu) setMatmulProgram(matmulProgram(a.shape[0], a.shape[1]!, b.shape[1]!));
    return this.#withPacked(b, (right) => tf.matMul(a, right));
  }

  /** The library convolves what is no windows: rows stay as they are. */
  windows(a: tf.Tensor): tf.Tensor {
    return a;
  }

  convolve(rows: tf.Tensor, kernels: tf.Tensor, geometry: ConvolutionGeometry) {
    return tf.tidy(() => eager.convolve(this, rows, kernels, geometry));
  }

  convolveBack(delta: tf.Tensor, kernels: tf.Tensor, geometry: ConvolutionGeometry) {
    return tf.tidy(() => eager.convolveBack(this, delta, kernels, geometry));
  }

  kernelGradient(rows: tf.Tensor, delta: tf.Tensor, geometry: ConvolutionGeometry) {
    return tf.tidy(() => eager.kernelGradient(this, rows, delta, geometry));
  }

  conv2d(a: tf.Tensor, kernel: tf.Tensor, { strides, dilation, padding }: ConvolutionOptions): tf.Tensor {
    const around = [[0, 0], [...padding[0]], [...padding[1]], [0, 0]] as tf.backend_util.ExplicitPadding;
    if (this.#webgpu) setMatmulProgram(largeTiles);
    return this.#withPacked(kernel, (packed) =>
      tf.conv2d(a as tf.Tensor4D, packed as tf.Tensor4D, [...strides], around, 'NHWC', [...dilation]),
    );
  }

  /**
   * The wasm backend packs a right operand or kernel once and keeps the packing by data id: the same data seen
   * through another shape would be read wrongly, without an error. Such a view is copied first.
   */
  #withPacked(operand: tf.Tensor, operation: (operand: tf.Tensor) => tf.Tensor): tf.Tensor {
    if (this.name !== 'wasm') return this.#run(() => operation(operand));
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
    const view = this.#run(() => tf.reshape(a, [...shape]));
    if (this.#backendName === 'tensorflow') this.#viewed.set(view.dataId, this.#dataOf(a));
    return view;
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
  sliceRows(a: tf.Tensor, from: number, to: number): tf.Tensor {
    if (this.#isOnGpu || this.name === 'tensorflow')
      return this.#onDevice(() => onDevice.sliceRows(a, from, to));
    const width = a.size / a.shape[0];
    return this.#onHost([to - from, ...a.shape.slice(1)], [a], (target, source) =>
      target.set(source.subarray(from * width, to * width)),
    );
  }

  gatherRows(a: tf.Tensor, indices: Int32Array): tf.Tensor {
    if (this.#isOnGpu) return this.#onDevice(() => onDevice.gatherRows(a, indices));
    if (this.name === 'tensorflow')
      return this.#run(() => tf.tidy(() => tf.gather(a, tf.tensor1d(indices.slice(), 'int32'))));
    const width = a.size / a.shape[0];
    return this.#onHost([indices.length, ...a.shape.slice(1)], [a], (target, source) => {
      for (const [place, row] of indices.entries())
        target.set(source.subarray(row * width, (row + 1) * width), place * width);
    });
  }

  gatherColumns(a: tf.Tensor, indices: Int32Array): tf.Tensor {
    if (this.#isOnGpu) return this.#onDevice(() => onDevice.gatherColumns(a, indices));
    const [rows, columns] = a.shape as [number, number];
    return this.#onHost([rows, indices.length], [a], (target, source) =>
      copyColumns(source, target, indices, columns),
    );
  }

  scatterColumns(a: tf.Tensor, indices: Int32Array, columns: number): tf.Tensor {
    if (this.#isOnGpu) return this.#onDevice(() => onDevice.scatterColumns(a, indices, columns));
    return this.#onHost([a.shape[0], columns], [a], (target, source) =>
      addColumns(source, target, indices, columns),
    );
  }

  lookupRows(a: tf.Tensor, ids: tf.Tensor): tf.Tensor {
    if (this.#isOnGpu) return this.#onDevice(() => onDevice.lookupRows(a, ids));
    const [rows, width] = a.shape as [number, number];
    return this.#onHost([ids.size, width], [a, ids], (target, source, numbers) =>
      copyRowsById(source, target, checkIds(numbers, rows), width),
    );
  }

  scatterRows(a: tf.Tensor, ids: tf.Tensor, rows: number): tf.Tensor {
    if (this.#isOnGpu) return this.#onDevice(() => this.matmul(onDevice.scatterMatrix(ids, rows), a));
    const width = a.shape[1]!;
    return this.#onHost([rows, width], [a, ids], (target, source, numbers) =>
      addRowsById(source, target, checkIds(numbers, rows), width),
    );
  }

  #onDevice(work: () => tf.Tensor): tf.Tensor {
    return this.#run(() => tf.tidy(work));
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
        checkAllocated(target);
        // The views come after the allocation, which may move the heap.
        work(this.#view(target), ...inputs.map((input) => this.#view(input)));
        return target;
      }
      const target = new Float32Array(shape.reduce((product, length) => product * length, 1));
      work(target, ...inputs.map((tensor) => tensor.dataSync<'float32'>()));
      return tf.tensor(target, shape, 'float32');
    });
  }

  /** TensorFlow.js has one current backend a thread; several engines may live in it. */
  #run<R>(operation: () => R): R {
    if (this.#broken) throw this.#broken;
    // For a backend that has started this takes effect before the promise is returned.
    if (tf.getBackend() !== this.#backendName) void tf.setBackend(this.#backendName);
    try {
      const result = operation();
      if (result instanceof tf.Tensor) checkAllocated(result);
      return result;
    } catch (error) {
      if (error instanceof TooLargeError) this.#broken = error;
      else if (this.name === 'wasm' && isOutOfBounds(error)) this.#broken = memoryUsedUp(error);
      else if (isOutOfMemory(error)) throw tooLargeFor(this.name, error);
      throw this.#broken ?? error;
    }
  }
}

/** What libtensorflow says where an allocation fails; it computes on with what it has. */
const isOutOfMemory = (error: unknown) =>
  error instanceof Error && /OOM when allocating|RESOURCE_EXHAUSTED/i.test(error.message);

const tooLargeFor = (engine: string, cause: unknown) =>
  new TooLargeError(`${engine}: a tensor does not fit the memory that is left: ${messageOf(cause)}`, {
    hint: memoryAdvice,
    details: { engine },
    cause,
  });

/** Whether tfjs-node has given a tensor to libtensorflow, from which it copies: not the array that was uploaded. */
const isComputed = (backend: tf.KernelBackend, { dataId }: tf.Tensor) =>
  (backend as unknown as { tensorMap: WeakMap<object, { values: unknown }> }).tensorMap.get(dataId)
    ?.values === null;

/** Of an address past the end of the heap, in JavaScript or in wasm: what follows where an allocation failed. */
const isOutOfBounds = (error: unknown) =>
  types.isNativeError(error) && ['RangeError', 'RuntimeError'].includes(error.name);
