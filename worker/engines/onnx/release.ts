import { MessageChannel } from 'node:worker_threads';

/** HTML's rule: what is posted on a closed port is transferred all the same, and then dropped. */
const { port1: closed } = new MessageChannel();
closed.close();

/**
 * Frees the memory of an array now, and makes it empty: its bytes would count until the next collection, and V8 marks
 * its whole heap, beside the arithmetic, whenever some 8 MiB of them have been made.
 */
export function release({ buffer }: Float32Array | Int32Array): void {
  closed.postMessage(undefined, [buffer as ArrayBuffer]);
}
