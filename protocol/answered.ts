import { BrokerError, IhvpError } from './errors.js';

/** What the broker answers. @throws BrokerError where it does not: another try may do better */
export async function answered<T>(what: string, request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (cause) {
    if (cause instanceof IhvpError) throw cause;
    throw new BrokerError(`${what} does not answer: ${String(cause)}`, { cause });
  }
}
