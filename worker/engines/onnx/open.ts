import type { Engine } from '../engine.js';
import { OnnxEngine } from './engine.js';
import { importOrt } from './runtime.js';
import { Sessions } from './sessions.js';
import type { OnnxTensor } from './tensor.js';

/** Of a thread: a job needs a handful of sessions, a self-check some dozens of small ones once. */
const limit = { sessions: 64, bytes: 2 ** 31 };

/** Starts ONNX Runtime in this thread. @throws UnsupportedError if it does not start */
export async function openOnnx(): Promise<Engine<OnnxTensor>> {
  const ort = await importOrt();
  const sessions = new Sessions(
    ort,
    {
      executionProviders: ['cpu'],
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: 'disabled',
    },
    limit,
  );
  const { node, common } = ort.env.versions;
  return new OnnxEngine('onnx', `ONNX Runtime ${node ?? common} (cpu)`, ort, sessions);
}
