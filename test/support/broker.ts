import { randomBytes } from 'node:crypto';
import type { NatsConnection } from '@nats-io/nats-core';
import { startPrivateBroker } from '../../cli/broker/private.js';
import { connectBroker } from '../../protocol/connection.js';
import { names as namesOf, type Names } from '../../protocol/subjects.js';

export interface TestBroker {
  /** With all that a client needs. */
  url: string;
  /** Subject prefix of this test alone: a server that the environment names is shared. */
  prefix: string;
  names: Names;
  connection: NatsConnection;
  stop: () => Promise<void>;
}

/** A broker with nobody else's subjects: the one `IHVP_NATS_URL` names under a random prefix, else a private one. */
export async function startTestBroker(): Promise<TestBroker> {
  const prefix = `test${randomBytes(6).toString('hex')}`;
  const shared = process.env.IHVP_NATS_URL;
  const broker = shared ? undefined : await startPrivateBroker();
  const url = shared ?? broker!.urlWithToken;
  const connection = await connectBroker(url, prefix);
  const stop = async () => {
    await connection.close();
    await broker?.stop();
  };
  return { url, prefix, names: namesOf(prefix), connection, stop };
}
