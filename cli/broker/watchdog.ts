/**
 * Runs nats-server and ends it with the process that started this one, however that ends: standard input is a pipe
 * that only the parent holds open, and the kernel closes it even after SIGKILL. Started in a session of its own, so
 * that a Ctrl-C at the terminal reaches the parent alone, which may still need its broker to drain.
 *
 * Usage: watchdog.js SERVER CONFIG [FILE-TO-REMOVE-AT-THE-END…]
 */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';

const graceMilliseconds = 1500;
const [server, config, ...leftovers] = process.argv.slice(2);

const child = spawn(server!, ['--config', config!], { stdio: ['ignore', 'ignore', 'inherit'] });

function end(): void {
  child.kill('SIGTERM');
  setTimeout(() => child.kill('SIGKILL'), graceMilliseconds).unref();
}

function finish(status: number): never {
  for (const path of leftovers) rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  process.exit(status);
}

child.once('exit', (code) => finish(code ?? 1));
child.once('error', (error) => {
  console.error(error.message);
  finish(127);
});
process.stdin.resume().once('end', end).once('error', end);
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, end);
