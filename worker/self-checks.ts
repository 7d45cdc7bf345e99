import { sha256 } from '../protocol/digest.js';
import type { SelfCheck } from '../protocol/jobs.js';
import type { Leaf } from '../protocol/leaves.js';
import type { Slots } from './slots.js';
import type { OpenInput, SelfCheckInput, ThreadPoint } from './thread-messages.js';

/**
 * The self-checks of this process: one for each network with its loss and each curvature, on the first leaf that comes,
 * before a product of it is answered. A process has one engine. One that failed is tried again, at another θ perhaps.
 */
export class SelfChecks {
  #slots: Slots;
  #checks = new Map<string, Promise<SelfCheck>>();

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  /** @throws SelfCheckError that names the layer */
  check({ operator, network, curvature }: OpenInput, point: ThreadPoint, leaf: Leaf): Promise<SelfCheck> {
    const key = sha256(JSON.stringify({ ...network, l2: undefined, l2Biases: undefined, curvature }));
    let check = this.#checks.get(key);
    if (!check) {
      const input: SelfCheckInput = { operator, point, leaf };
      check = this.#slots
        .run<SelfCheck>(this.#slots.leastLoaded(), 'check', input)
        .then(({ value }) => value);
      this.#checks.set(key, check);
      check.catch(() => this.#checks.delete(key));
    }
    return check;
  }
}
