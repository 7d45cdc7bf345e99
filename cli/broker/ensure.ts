import { BrokerError } from '../../protocol/errors.js';
import { findServer } from './find.js';
import { installServer } from './install.js';
import type { Say } from './install.js';

/**
 * Sees to a NATS server: the running one that `IHVP_NATS_URL` names, else this machine's `nats-server`, which is
 * installed if need be. `say` gets each line about what is being done to the machine.
 * Throws `BrokerError` whose hint is the line that the user must type.
 */
export async function ensureBroker(options: { say: Say }): Promise<{ url: string } | { binary: string }> {
  const url = process.env.IHVP_NATS_URL;
  if (url) return { url };
  return { binary: await ensureServer(options.say) };
}

/** Path of this machine's `nats-server`, installed if need be. */
export async function ensureServer(say: Say): Promise<string> {
  const found = findServer();
  if (found) return found;
  await installServer(say);
  const binary = findServer();
  if (!binary)
    throw new BrokerError('nats-server was installed, but is on no path where programs are looked for', {
      hint: 'put nats-server on the PATH, or set IHVP_NATS_URL to a running server',
    });
  return binary;
}
