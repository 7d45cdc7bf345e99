import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  /** Sets IHVP_NATS_URL. */
  url?: string;
  folder?: string;
}

/** Starts the `ihvp` command as a user would; `finished` never rejects. */
export function startCommand(words: readonly string[], { url, folder }: CommandOptions = {}) {
  const { IHVP_NATS_URL: _, ...environment } = process.env;
  const child = spawn(process.execPath, [main, ...words], {
    cwd: folder,
    env: { ...environment, ...(url !== undefined && { IHVP_NATS_URL: url }) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].on('data', (chunk: Buffer) => (said[stream] += chunk.toString()));
  const finished = new Promise<Finished>((resolve) =>
    child.once('close', (code) => resolve({ code, ...said })),
  );
  return { child, said, finished };
}

/** Runs the `ihvp` command to its end. */
export function command(words: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  return startCommand(words, options).finished;
}
