import { randomBytes } from 'node:crypto';
import { startPrivateBroker } from '../../cli/broker/private.js';

export interface TestBroker {
  url: string;
  /** Absent where `IHVP_NATS_URL` names the server: its address carries what it needs. */
  token?: string;
  /** Subject prefix of this test alone: a server that the environment names is shared. */
  prefix: string;
  stop: () => Promise<void>;
}

/** A broker with nobody else's subjects: the one `IHVP_NATS_URL` names under a random prefix, else a private one. */
export async function startTestBroker(): Promise<TestBroker> {
  const prefix = `test${randomBytes(6).toString('hex')}`;
  const shared = process.env.IHVP_NATS_URL;
  if (shared) return { url: shared, prefix, stop: () => Promise.resolve() };
  const { url, token, stop } = await startPrivateBroker();
  return { url, token, prefix, stop };
}
