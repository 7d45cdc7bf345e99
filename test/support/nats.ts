import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type NatsConnection } from '@nats-io/transport-node';

/** A nats-server of the test's own, with JetStream, and a connection to it. */
export async function startNats(): Promise<{
  url: string;
  connection: NatsConnection;
  stop(): Promise<void>;
}> {
  const folder = await mkdtemp(join(tmpdir(), 'ihvp-test-nats-'));
  const args = ['-a', '127.0.0.1', '-p', '-1', '-js', '-sd', folder, '--ports_file_dir', folder];
  const server = spawn('nats-server', args, { stdio: 'ignore' });
  const exited = new Promise((resolve) => server.once('exit', resolve));
  const url = await portsFile(folder);
  const connection = await connect({ servers: url });
  return {
    url,
    connection,
    async stop() {
      await connection.close();
      server.kill('SIGKILL');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function portsFile(folder: string): Promise<string> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const file = (await readdir(folder)).find((name) => name.endsWith('.ports'));
    const text = file && (await readFile(join(folder, file), 'utf8'));
    if (text) {
      const ports = JSON.parse(text) as { nats: string[] };
      return ports.nats[0]!;
    }
    await sleep(50);
  }
  throw new Error('nats-server did not start');
}
