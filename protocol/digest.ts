import { createHash } from 'node:crypto';
import { networkOf, type Model } from './model.js';

/** The SHA-256, lower-case hexadecimal. */
export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Names what a model is but for its parameters: layers or plugin, loss, l2. */
export function networkDigest(model: Model): string {
  return sha256(JSON.stringify(networkOf(model)));
}
