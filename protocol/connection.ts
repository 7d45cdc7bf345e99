import { connect as connectTransport } from '@nats-io/transport-node';
import type { NatsConnection } from '@nats-io/nats-core';
import { BrokerError } from './errors.js';

export const defaultUrl = 'nats://127.0.0.1:4222';

/**
 * Connects to a NATS server and keeps reconnecting for ever once that worked. The URL may carry a token
 * (`nats://TOKEN@host:port`) or a user and password.
 * @throws BrokerError when the server is not there or refuses
 */
export async function connectBroker(
  url = process.env.IHVP_NATS_URL ?? defaultUrl,
  name = 'ihvp',
): Promise<NatsConnection> {
  const { servers, ...credentials } = parseUrl(url);
  try {
    return await connectTransport({
      servers,
      name,
      ...credentials,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 500,
      pingInterval: 10_000,
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BrokerError(`cannot use the NATS server at ${servers}: ${reason}`, {
      hint: 'start one with `ihvp up`, or name yours with --nats URL or IHVP_NATS_URL',
      details: { servers },
      cause,
    });
  }
}

function parseUrl(url: string): { servers: string; token?: string; user?: string; pass?: string } {
  let parsed: URL;
  try {
    parsed = new URL(url.includes('://') ? url : `nats://${url}`);
  } catch (cause) {
    throw new BrokerError(`"${url}" is not a NATS address`, { hint: 'write nats://HOST:PORT', cause });
  }
  const servers = `${parsed.protocol}//${parsed.host}`;
  const user = decodeURIComponent(parsed.username);
  if (!user) return { servers };
  return parsed.password
    ? { servers, user, pass: decodeURIComponent(parsed.password) }
    : { servers, token: user };
}
