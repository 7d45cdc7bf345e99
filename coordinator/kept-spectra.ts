import { sha256 } from '../protocol/digest.js';
import { networkOf } from '../protocol/model.js';
import type { Objects } from '../protocol/objects.js';
import type { Prepared } from './prepare.js';

/** Bytes of everything that is kept, the newest first. */
const keptBytes = 2 ** 30;

/**
 * What was found out about a Hessian, kept for later jobs on the same model and data: nothing in it depends on damping or
 * right-hand sides. At most 1 GiB; the oldest goes first.
 */
export class KeptSpectra {
  #objects: Objects;

  constructor(objects: Objects) {
    this.#objects = objects;
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    return this.#objects.get(name);
  }

  /** Names that begin with `prefix`. */
  async names(prefix: string): Promise<string[]> {
    return this.#objects.list(prefix);
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength > keptBytes) return;
    await this.#objects.put(name, bytes);
    await this.#objects.keepNewest(keptBytes);
  }
}

/**
 * Names the Hessian itself: parameters, network with its l2, data and curvature. `leafRows` and the way products are made
 * decide its last bits.
 */
export function hessianKey({ request, model, dataset, leafRows }: Prepared): string {
  const { curvature, hvp } = request;
  const parts = [model.parameters.sha256, networkOf(model), dataset.sha256, curvature, hvp, leafRows];
  return sha256(Buffer.from(JSON.stringify(parts)));
}
