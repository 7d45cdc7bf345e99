import * as tf from '@tensorflow/tfjs';
import { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { TooLargeError } from '../../protocol/errors.js';

/**
 * Where wasm memory (4 GiB a thread) is used up, the backend goes on at address 0 instead of failing.
 * @throws TooLargeError for a tensor there, if wasm is the current backend
 */
export function checkAllocated(tensor: tf.Tensor): void {
  const backend = tf.backend();
  if (!(backend instanceof BackendWasm) || tensor.size === 0) return;
  if (backend.getMemoryOffset(tensor.dataId) !== 0) return;
  throw new TooLargeError("the engine's memory is used up: wasm has 4 GiB a thread", {
    hint: 'give the worker a smaller cache, or ask for fewer right-hand sides at once or smaller leaves; restart this thread',
    details: { engine: 'wasm', shape: tensor.shape, bytes: tf.memory().numBytes },
  });
}
