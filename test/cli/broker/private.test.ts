import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { startPrivateBroker } from '../../../cli/broker/private.js';
import type { PrivateBroker, PrivateBrokerOptions } from '../../../cli/broker/private.js';
import { BrokerError } from '../../../protocol/errors.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(options?: PrivateBrokerOptions): Promise<PrivateBroker> {
  const broker = await startPrivateBroker(options);
  cleanups.push(broker.stop);
  return broker;
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ihvp-test-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  return folder;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const until = async (what: () => boolean, milliseconds: number) => {
  for (const deadline = Date.now() + milliseconds; !what() && Date.now() < deadline;) await delay(20);
  return what();
};

const accepts = (host: string, port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connectSocket({ host, port, timeout: 1000 });
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.once('timeout', () => settle(false));
  });

describe('startPrivateBroker', () => {
  it('startPrivateBroker: JetStream answers a client with the token', async () => {
    const { url, token } = await start();
    const connection = await connect({ servers: url, token });
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: 's', subjects: ['s.>'] });
    expect((await manager.getAccountInfo()).streams).toBe(1);
    expect(connection.info?.max_payload).toBe(1024 * 1024);
    await connection.close();
  });

  it('startPrivateBroker: a wrong or missing token is refused', async () => {
    const { url } = await start();
    await expect(connect({ servers: url, token: 'wrong', reconnect: false })).rejects.toThrow(/authoriz/i);
    await expect(connect({ servers: url, reconnect: false })).rejects.toThrow(/authoriz/i);
  });

  it('startPrivateBroker: the token is in a file for this user only, not in the command line', async () => {
    const { token, info } = await start();
    const config = join(info.dataDir, 'nats-server.conf');
    expect(readFileSync(config, 'utf8')).toContain(token);
    expect(statSync(config).mode & 0o077).toBe(0);
    if (process.platform === 'linux')
      expect(readFileSync(`/proc/${info.pid}/cmdline`, 'utf8')).not.toContain(token);
  });

  it('startPrivateBroker: listens on 127.0.0.1 only', async () => {
    const port = Number(new URL((await start()).url).port);
    const others = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .map(({ address }) => address)
      .filter((address) => address !== '127.0.0.1');
    // 127.0.0.2 reaches a server that listens on every address of a Linux machine.
    for (const host of ['127.0.0.2', ...others])
      expect([host, await accepts(host, port)]).toEqual([host, false]);
    expect(await accepts('127.0.0.1', port)).toBe(true);
  });

  it('stop: ends the server, removes the temporary folder, may be called again', async () => {
    const { info, stop, exited } = await start();
    expect(isRunning(info.pid) && existsSync(info.dataDir)).toBe(true);
    await Promise.all([stop(), stop(), exited]);
    await stop();
    expect([isRunning(info.pid), existsSync(info.dataDir)]).toEqual([false, false]);
  });

  it("startPrivateBroker: the user's data folder keeps its streams, and serves one broker at a time", async () => {
    const dataDir = temporaryFolder();
    const first = await start({ dataDir });
    const writer = await connect({ servers: first.url, token: first.token });
    await (await jetstreamManager(writer)).streams.add({ name: 'kept', subjects: ['kept'] });
    await writer.close();
    await expect(startPrivateBroker({ dataDir })).rejects.toThrow(/in use/);
    await first.stop();

    const second = await start({ dataDir });
    const reader = await connect({ servers: second.url, token: second.token });
    expect((await (await jetstreamManager(reader)).streams.info('kept')).config.name).toBe('kept');
    await reader.close();
  });

  it('startPrivateBroker: a failed start shows the end of the log', async () => {
    const dataDir = temporaryFolder();
    writeFileSync(join(dataDir, 'jetstream'), 'a file where the server wants a folder');
    const failure = startPrivateBroker({ dataDir });
    await expect(failure).rejects.toBeInstanceOf(BrokerError);
    await expect(failure).rejects.toThrow(/\[FTL\].*not a directory/s);
  });
});

describe('the parent of a private broker', () => {
  /** A process that starts a private broker, ignores SIGINT and stays. */
  async function startParent(): Promise<{ parent: ChildProcess; info: PrivateBroker['info'] }> {
    const module = new URL('../../../cli/broker/private.js', import.meta.url).href;
    const code = `
      import { startPrivateBroker } from ${JSON.stringify(module)};
      process.on('SIGINT', () => {});
      const { info } = await startPrivateBroker();
      process.stdout.write(JSON.stringify(info));
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    cleanups.push(() => parent.kill('SIGKILL'));
    const [said] = (await once(parent.stdout, 'data')) as [Buffer];
    return { parent, info: JSON.parse(said.toString()) as PrivateBroker['info'] };
  }

  it('startPrivateBroker: killed with SIGKILL, its server and temporary folder are gone within 2 s', async () => {
    const { parent, info } = await startParent();
    expect(isRunning(info.pid) && existsSync(info.dataDir)).toBe(true);
    parent.kill('SIGKILL');
    expect(await until(() => !isRunning(info.pid) && !existsSync(info.dataDir), 2000)).toBe(true);
  });

  it('startPrivateBroker: Ctrl-C reaches the parent and not its server', async () => {
    const { parent, info } = await startParent();
    process.kill(-parent.pid!, 'SIGINT');
    await delay(300);
    expect(isRunning(info.pid)).toBe(true);
  });
});
