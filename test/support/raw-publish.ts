import { once } from 'node:events';
import { createConnection } from 'node:net';

/**
 * Publishes to a NATS server what no client library would: a message with any bytes as its headers. Resolves once the
 * server has taken it.
 */
export async function rawPublish(url: string, subject: string, headers: string, body: Buffer): Promise<void> {
  const { hostname, port, username } = new URL(url);
  const socket = createConnection(Number(port), hostname);
  await once(socket, 'connect');
  let heard = '';
  const pong = new Promise<void>((resolve, reject) => {
    socket.on('data', (data) => {
      heard += data.toString();
      if (heard.includes('-ERR')) reject(new Error(heard));
      if (heard.includes('PONG')) resolve();
    });
    socket.on('error', reject);
  });
  const options = { verbose: false, headers: true, ...(username && { auth_token: username }) };
  const head = Buffer.from(`NATS/1.0\r\n${headers}\r\n\r\n`);
  socket.write(`CONNECT ${JSON.stringify(options)}\r\n`);
  socket.write(`HPUB ${subject} ${head.length} ${head.length + body.length}\r\n`);
  socket.write(Buffer.concat([head, body]));
  socket.write('\r\nPING\r\n');
  await pong;
  socket.destroy();
}
