import { UnsupportedError } from '../../../protocol/errors.js';

/** The parts of ONNX Runtime's Node binding that are used; the package is optional, so its own types may be absent. */
export interface OrtTensor {
  readonly location: 'cpu' | 'gpu-buffer';
  /** Where the location is the CPU. */
  readonly data: Float32Array | Int32Array;
  /** Where it is not; opaque in Node. */
  readonly gpuBuffer: object;
  dispose(): void;
}

export interface OrtSession {
  run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}

export interface OrtOptions {
  executionProviders: readonly string[];
  intraOpNumThreads: number;
  interOpNumThreads: number;
  executionMode: 'sequential';
  graphOptimizationLevel: 'disabled';
  preferredOutputLocation?: OrtTensor['location'];
}

export interface Ort {
  Tensor: {
    new (type: 'float32' | 'int32', data: Float32Array | Int32Array, dims: readonly number[]): OrtTensor;
    fromGpuBuffer(
      buffer: object,
      options: { dataType: 'float32' | 'int32'; dims: readonly number[] },
    ): OrtTensor;
  };
  InferenceSession: { create(model: Uint8Array, options: OrtOptions): Promise<OrtSession> };
  env: { versions: { node?: string; common: string } };
}

export const packageName: string = 'onnxruntime-node';

/** @throws UnsupportedError where the package is not installed, or has no binary for this platform */
export async function importOrt(): Promise<Ort> {
  try {
    const { default: ort } = (await import(packageName)) as { default: Ort };
    return ort;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0]! : String(cause);
    throw new UnsupportedError(`onnx: ONNX Runtime does not start here (${reason})`, {
      hint: `npm install ${packageName}, or use --engine auto, which takes the first engine that starts`,
      cause,
    });
  }
}
