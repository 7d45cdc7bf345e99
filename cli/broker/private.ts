import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BrokerError } from '../../protocol/errors.js';
import { privateBrokerConfig } from './config.js';
import { ensureServer } from './ensure.js';
import { startWatchdog } from './start-watchdog.js';
import type { Watchdog } from './start-watchdog.js';

const pidFileName = 'nats-server.pid';

export interface PrivateBrokerOptions {
  /** Kept at the end. Default: a temporary folder, removed at the end. */
  dataDir?: string;
  /** Path of the `nats-server` program. Default: this machine's, installed if need be. */
  binary?: string;
  /** Gets each line about what is being done to the machine. Default: standard error. */
  say?: (line: string) => void;
  /** Default: 15 seconds. */
  startMilliseconds?: number;
}

export interface PrivateBroker {
  /** `nats://127.0.0.1:PORT`, without the token. */
  url: string;
  token: string;
  /** `nats://TOKEN@127.0.0.1:PORT`: all that a client needs. */
  urlWithToken: string;
  info: { binary: string; pid: number; dataDir: string; logFile: string };
  /** Fulfilled when the server has ended, asked to or not. */
  exited: Promise<void>;
  /** Ends the server and removes what is temporary. May be called again. */
  stop: () => Promise<void>;
}

/**
 * Starts a nats-server that belongs to this process: JetStream on, loopback only, on a free port, with a random token,
 * ended with this process even when that is killed (see watchdog.ts). It does not keep this process running.
 * Throws `BrokerError` with the end of the server's log.
 */
export async function startPrivateBroker(options: PrivateBrokerOptions = {}): Promise<PrivateBroker> {
  const say = options.say ?? ((line) => process.stderr.write(`${line}\n`));
  const binary = resolve(options.binary ?? (await ensureServer(say)));
  if (options.dataDir !== undefined) {
    await mkdir(options.dataDir, { recursive: true });
    await refuseUsedFolder(options.dataDir);
  }
  // Synchronous up to the watchdog's start: an exception elsewhere in this process cannot leave the folder behind.
  const runFolder = mkdtempSync(join(tmpdir(), 'ihvp-broker-'));
  const dataDir = options.dataDir === undefined ? runFolder : resolve(options.dataDir);
  const pidFile = join(dataDir, pidFileName);

  const token = randomBytes(24).toString('hex');
  const configFile = join(runFolder, 'nats-server.conf');
  const logFile = join(dataDir, 'nats-server.log');
  const config = { token, portsFolder: runFolder, storeFolder: dataDir, logFile, pidFile };
  // In a file, since other users can read a command line.
  writeFileSync(configFile, privateBrokerConfig(config), { mode: 0o600 });

  const watchdog = startWatchdog([binary, configFile, runFolder, pidFile]);
  try {
    const url = await waitForUrl(watchdog, runFolder, options.startMilliseconds ?? 15_000);
    const pid = (await readPid(pidFile))!;
    const exited = watchdog.exited.then(() => endOrphan(pidFile, runFolder));
    const stop = () => watchdog.stop().then(() => exited);
    const urlWithToken = url.replace('nats://', `nats://${token}@`);
    return { url, token, urlWithToken, info: { binary, pid, dataDir, logFile }, exited, stop };
  } catch (cause) {
    const log = await readFile(logFile, 'utf8').catch(() => '');
    await watchdog.stop();
    const said = (watchdog.stderr() + log).trimEnd().split('\n').slice(-10).join('\n');
    throw new BrokerError(`${binary} did not start: ${(cause as Error).message}\n${said}`, {
      hint: `see whether \`${binary} --version\` runs`,
      cause,
    });
  }
}

/** Two servers on one store destroy it. */
async function refuseUsedFolder(dataDir: string): Promise<void> {
  const pidFile = join(dataDir, pidFileName);
  const pid = await readPid(pidFile);
  if (pid === undefined || !isRunning(pid)) return;
  throw new BrokerError(`the data folder ${dataDir} is in use by the broker with process number ${pid}`, {
    hint: `end that process, or, if it is no nats-server, remove ${pidFile}`,
  });
}

/** A watchdog that was itself killed has left its server, its process number and the run folder behind. */
async function endOrphan(pidFile: string, runFolder: string): Promise<void> {
  const pid = await readPid(pidFile);
  if (pid === undefined) return;
  if (isRunning(pid)) process.kill(pid, 'SIGKILL');
  await Promise.all(
    [pidFile, runFolder].map((path) => rm(path, { recursive: true, force: true, maxRetries: 3 })),
  );
}

async function readPid(pidFile: string): Promise<number | undefined> {
  const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''));
  return pid > 0 ? pid : undefined;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The address in the ports file, which the server writes when it accepts connections. */
async function waitForUrl(watchdog: Watchdog, folder: string, milliseconds: number): Promise<string> {
  let ended = false;
  void watchdog.exited.then(() => (ended = true));
  for (const deadline = Date.now() + milliseconds; Date.now() < deadline; await delay(10)) {
    if (ended) throw new Error('it ended');
    const name = (await readdir(folder).catch(() => [])).find((file) => file.endsWith('.ports'));
    const url = name && /"(nats:\/\/[^"]+)"\]/.exec(await readFile(join(folder, name), 'utf8'))?.[1];
    if (url) return url;
  }
  throw new Error(`it was not ready after ${milliseconds / 1000} s`);
}
