import type { Msg, NatsConnection, Subscription } from '@nats-io/nats-core';

/**
 * Subscribes `handle` to a subject. What it throws is dropped together with the message: an exception that leaves a
 * subscription's callback ends the connection's reader, and the process would hear nothing any more. Subjects are open
 * to all, and headers are parsed where they are read, so that even looking at a message may throw.
 */
export function listen(nc: NatsConnection, subject: string, handle: (message: Msg) => void): Subscription {
  return nc.subscribe(subject, {
    callback: (error, message) => {
      if (error) return;
      try {
        handle(message);
      } catch {
        return;
      }
    },
  });
}
