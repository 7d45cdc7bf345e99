import * as tf from '@tensorflow/tfjs';
import { TooLargeError, UnsupportedError } from '../../protocol/errors.js';
import { memoryAdvice } from './memory-advice.js';

/** The parts of Dawn for Node that are used; the package is an optional peer, so its own types may be absent. */
interface Dawn {
  create: (options: string[]) => Gpu;
  globals: object;
}
interface Gpu {
  requestAdapter(): Promise<Adapter | null>;
}
interface Adapter {
  /** `isFallbackAdapter`: computed by a CPU, as by SwiftShader. */
  info: { description: string; device: string; vendor: string; isFallbackAdapter: boolean };
}
interface Device extends EventTarget {
  lost: Promise<{ message: string }>;
}

/** A WebGPU device's errors come later than the calls that caused them. */
export interface Webgpu {
  /** Adapter, for reports. */
  description: string;
  /** Throws what went wrong on the device so far: `TooLargeError` if a tensor did not fit it. */
  check(): void;
}

const packages = 'webgpu @tensorflow/tfjs-backend-webgpu';
let started: Promise<Webgpu> | undefined;

/**
 * Registers and starts the TensorFlow.js backend `webgpu` in this thread. With `onCpu` it also takes an adapter that
 * a CPU computes: correct, and slower than any other engine. Throws `UnsupportedError` if there is no adapter, or the
 * packages are not installed.
 */
export async function startWebgpu({ onCpu }: { onCpu: boolean }): Promise<Webgpu> {
  const { gpu, globals } = await openDawn();
  const adapter = await gpu.requestAdapter();
  if (!adapter)
    throw new UnsupportedError('webgpu: no adapter is found', {
      hint: 'install the GPU driver for Vulkan, and libvulkan1; without a GPU: Debian package chromium and VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json',
    });
  const { description, device, vendor, isFallbackAdapter } = adapter.info;
  const name = description || device || vendor;
  if (isFallbackAdapter && !onCpu)
    throw new UnsupportedError(`webgpu: the only adapter computes on the CPU (${name})`);
  started ??= start(name, gpu, globals);
  return started;
}

let dawn: { gpu: Gpu; globals: object } | undefined;

async function openDawn(): Promise<{ gpu: Gpu; globals: object }> {
  if (dawn) return dawn;
  try {
    const { create, globals } = (await importOptional('webgpu')) as Dawn;
    dawn = { gpu: create([]), globals };
    return dawn;
  } catch (cause) {
    throw new UnsupportedError(`webgpu: Dawn is not there (${messageOf(cause)})`, {
      hint: `npm install ${packages}`,
      cause,
    });
  }
}

async function start(description: string, gpu: Gpu, globals: object): Promise<Webgpu> {
  // The backend looks for a browser's globals, and for `navigator.gpu` while it is imported.
  Object.assign(globalThis, globals);
  const host = globalThis as { navigator?: object };
  host.navigator ??= {};
  Object.defineProperty(host.navigator, 'gpu', { value: gpu, configurable: true });
  try {
    await importOptional('@tensorflow/tfjs-backend-webgpu');
    // Small tensors would be computed on the CPU or on the GPU, with other bits, by where they happen to lie.
    tf.env().set('WEBGPU_CPU_FORWARD', false);
    if (!(await tf.setBackend('webgpu'))) throw new Error('the backend did not initialise');
  } catch (cause) {
    throw new UnsupportedError(`webgpu: the backend does not start (${messageOf(cause)})`, {
      hint: `npm install ${packages}`,
      cause,
    });
  }
  const { device } = tf.backend() as tf.KernelBackend & { device: Device };
  let failure: Error | undefined;
  device.addEventListener('uncapturederror', (event) => {
    failure ??= tooLarge((event as Event & { error: Error }).error.message);
  });
  void device.lost.then(({ message }) => {
    failure ??= new UnsupportedError(`webgpu: the device is lost: ${message}`, {
      hint: 'restart this worker',
    });
  });
  return {
    description,
    check: () => {
      if (failure) throw failure;
    },
  };
}

const tooLarge = (message: string) =>
  new TooLargeError(`the GPU refuses what it was asked: ${message}`, {
    hint: `${memoryAdvice}; restart this worker`,
    details: { engine: 'webgpu' },
  });

/** An import that the compiler does not resolve: the package may be absent. */
const importOptional = (name: string): Promise<unknown> => import(name) as Promise<unknown>;

const messageOf = (error: unknown) =>
  error instanceof Error ? error.message.split('\n')[0]! : String(error);

/** Two of the backend's programs. */
const smallTiles = 2;
export const largeTiles = 3;

export const setMatmulProgram = (program: number) => tf.env().set('WEBGPU_MATMUL_PROGRAM_TYPE', program);

/**
 * The program that computes m × inner by inner × n. For long inner axes the backend would add parts of a sum in the
 * order in which the GPU happens to finish them (split K, atomics), so that no two products had the same bits: those
 * go to its other programs. −1 leaves the choice to the backend.
 */
export function matmulProgram(m: number, inner: number, n: number): number {
  const splitFrom = 2000;
  if (inner < splitFrom || m * n <= 128) return -1;
  return Math.ceil(m / 32) * Math.ceil(n / 32) <= 16 ? smallTiles : largeTiles;
}
