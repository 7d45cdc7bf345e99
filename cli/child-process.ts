import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { childOfVariable } from './stop-signals.js';

const main = fileURLToPath(new URL('./main.js', import.meta.url));
/** A child that was asked to end and does not is killed after this. */
const patienceMs = 10_000;

export interface Child {
  pid: number;
  exited: Promise<number | null>;
  /** Asks it to end, waits, and kills it if it does not. */
  stop: () => Promise<void>;
}

/**
 * Starts another `ihvp` command as a child process that ends with this one, even when this one is killed. The broker's
 * URL goes through the environment, since it may carry a token and other users can read command lines.
 */
export function startChild(words: string[], url: string, say: (line: string) => void): Child {
  const child = spawn(process.execPath, [main, ...words], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, IHVP_NATS_URL: url, [childOfVariable]: String(process.pid) },
  });
  child.stdin.on('error', () => {});
  for (const stream of [child.stdout, child.stderr]) createInterface(stream).on('line', say);
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return {
    pid: child.pid!,
    exited,
    stop: async () => {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
      await exited;
      clearTimeout(timer);
    },
  };
}
