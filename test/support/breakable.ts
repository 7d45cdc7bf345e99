import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface BreakableLine {
  /** The server's address, through this line. */
  url: string;
  /** Breaks every connection that there is; new ones are let through. */
  cut: () => void;
  close: () => Promise<void>;
}

/** A line to a NATS server that can be cut. */
export async function breakableLine(url: string): Promise<BreakableLine> {
  const far = new URL(url);
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const on = connect(Number(far.port), far.hostname);
    for (const [from, to] of [
      [near, on],
      [on, near],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.pipe(to);
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const through = new URL(url);
  through.port = String((server.address() as AddressInfo).port);
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: through.href,
    cut,
    close: async () => {
      server.close();
      cut();
      await once(server, 'close');
    },
  };
}
