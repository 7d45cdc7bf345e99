import { UnsupportedError } from '../../../protocol/errors.js';

/** The parts of ONNX Runtime's Node binding that are used; the package is optional, so its own types may be absent. */
export interface OrtTensor {
  readonly data: Float32Array | Int32Array;
  readonly dims: readonly number[];
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
  graphOptimizationLevel: 'disabled' | 'basic' | 'all';
  enableCpuMemArena?: boolean;
  enableMemPattern?: boolean;
}

export interface Ort {
  Tensor: new (
    type: 'float32' | 'int32',
    data: Float32Array | Int32Array,
    dims: readonly number[],
  ) => OrtTensor;
  InferenceSession: { create(model: Uint8Array, options: OrtOptions): Promise<OrtSession> };
  env: { versions: { node?: string; common: string } };
}

const packageName: string = 'onnxruntime-node';

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
