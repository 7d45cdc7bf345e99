import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { UnsupportedError } from '../../../protocol/errors.js';
import type { Engine } from '../engine.js';
import type { RecordingName } from '../names.js';
import { OnnxEngine } from './engine.js';
import { importOrt, packageName } from './runtime.js';
import type { OrtOptions } from './runtime.js';
import { Sessions } from './sessions.js';
import type { OnnxTensor } from './tensor.js';

/** Of a thread: a job needs a handful of sessions, a self-check some dozens of small ones once. */
const limit = { sessions: 64, bytes: 2 ** 31 };

const providers: Record<RecordingName, Partial<OrtOptions> & { executionProviders: string[] }> = {
  onnx: { executionProviders: ['cpu'] },
  'onnx-webgpu': { executionProviders: ['webgpu'], preferredOutputLocation: 'gpu-buffer' },
  'onnx-cuda': { executionProviders: ['cuda'] },
};

/**
 * Starts ONNX Runtime in this thread, and with `dumpGraphs` writes each graph into that folder before its first run.
 * @throws UnsupportedError if it, or its provider, does not start
 */
export async function openOnnx(
  name: RecordingName,
  { dumpGraphs }: { dumpGraphs?: string | undefined } = {},
): Promise<Engine<OnnxTensor>> {
  const ort = await importOrt();
  if (name === 'onnx-cuda') checkCudaFiles();
  const options: OrtOptions = {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'disabled',
    ...providers[name],
  };
  const sessions = new Sessions(ort, options, limit, async (model) => {
    if (dumpGraphs !== undefined) await writeModel(dumpGraphs, model);
  });
  const { node, common } = ort.env.versions;
  const engine = new OnnxEngine(
    name,
    `ONNX Runtime ${node ?? common} (${options.executionProviders.join()})`,
    ort,
    sessions,
  );
  if (name !== 'onnx') await tryOut(engine);
  return engine;
}

/** Looked for first: the runtime would complain on standard error. */
function checkCudaFiles(): void {
  const { resolve } = createRequire(import.meta.url);
  const binaries = join(dirname(resolve(`${packageName}/package.json`)), 'bin/napi-v6');
  const library = join(binaries, process.platform, process.arch, 'libonnxruntime_providers_cuda.so');
  if (existsSync(library)) return;
  throw new UnsupportedError('onnx-cuda: the CUDA files of ONNX Runtime are not installed', {
    hint: `npm rebuild ${packageName} --onnxruntime-node-install=cuda12 (Linux on x64, CUDA 12)`,
  });
}

/** A provider without its device fails with the first session. */
async function tryOut(engine: OnnxEngine): Promise<void> {
  try {
    const one = engine.fill([1], 1);
    await engine.download(one);
    engine.dispose([one]);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new UnsupportedError(`${engine.name}: the provider does not start (${message})`, {
      hint: 'use --engine auto, which takes the first engine that starts',
      cause,
    });
  }
}

/** Threads that run the same graph write the same file. */
async function writeModel(folder: string, model: Uint8Array): Promise<void> {
  const digest = createHash('sha256').update(model).digest('hex');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${digest.slice(0, 16)}.onnx`), model);
}
