import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

const stopMilliseconds = 5000;

export interface Watchdog {
  /** Fulfilled when the watchdog has ended, and with it the server. */
  exited: Promise<void>;
  /** What the watchdog and the server wrote to standard error. */
  stderr: () => string;
  stop: () => Promise<void>;
}

/** Starts `watchdog.js` with the write end of its standard input in our hands, and in no child's of ours. */
export function startWatchdog(words: readonly string[]): Watchdog {
  const script = fileURLToPath(new URL('./watchdog.js', import.meta.url));
  const child = spawn(process.execPath, [script, ...words], {
    stdio: ['pipe', 'ignore', 'pipe'],
    detached: true,
    // Not this folder: it may be unmounted or removed while the broker runs.
    cwd: '/',
    // A debugger or a loader of ours is not meant for it.
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stdin.on('error', () => {}); // EPIPE: the watchdog ended first, which `exited` tells
  const exited = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    // A server that outlives a killed watchdog still holds its standard error open, so that 'close' may never come.
    child.once('exit', () => setTimeout(resolve, 200).unref());
    child.once('error', (error) => {
      said += `${error.message}\n`;
      resolve();
    });
  });
  for (const pipe of [child.stdin, child.stderr]) if (pipe instanceof Socket) pipe.unref();
  child.unref();

  let stopping: Promise<void> | undefined;
  const stop = async () => {
    child.ref();
    child.stdin.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), stopMilliseconds);
    await exited;
    clearTimeout(timer);
  };
  return { exited, stderr: () => said, stop: () => (stopping ??= stop()) };
}
