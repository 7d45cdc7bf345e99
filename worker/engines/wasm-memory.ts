import * as tf from '@tensorflow/tfjs';
import { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { TooLargeError } from '../../protocol/errors.js';
import { memoryAdvice } from './memory-advice.js';

/**
 * Where wasm memory (4 GiB a thread) is used up, the backend goes on at address 0 instead of failing.
 * @throws TooLargeError for a tensor there, if wasm is the current backend
 */
export function checkAllocated(tensor: tf.Tensor): void {
  const backend = tf.backend();
  if (!(backend instanceof BackendWasm) || tensor.size === 0) return;
  if (backend.getMemoryOffset(tensor.dataId) === 0) throw memoryUsedUp();
}

/** What was written to address 0 may have been anything: the engine is not to be used again. */
export function memoryUsedUp(cause?: unknown): TooLargeError {
  return new TooLargeError("the engine's memory is used up: wasm has 4 GiB a thread", {
    hint: `${memoryAdvice}; restart this worker`,
    details: { engine: 'wasm', bytes: tf.memory().numBytes },
    cause,
  });
}
