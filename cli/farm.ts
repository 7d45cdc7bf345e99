import { setTimeout as delay } from 'node:timers/promises';
import { connect, type Client } from '../protocol/client.js';
import { TimeoutError } from '../protocol/errors.js';
import { ensureBroker } from './broker/ensure.js';
import { startPrivateBroker } from './broker/private.js';
import { startChild, type Child } from './child-process.js';

export interface LocalFarmOptions {
  workers: number;
  /** Threads of each worker. */
  threads: number;
  engine?: string | undefined;
  /** Folders that workers may read `file://` datasets from. */
  files?: string[] | undefined;
  /** Modules with loss functions of the user's own. */
  plugins?: string[] | undefined;
  prefix?: string | undefined;
  /** Where the private broker keeps its data; default a temporary folder. */
  dataDir?: string | undefined;
  say: (line: string) => void;
}

export interface LocalFarm {
  /** With the token, if it has one. */
  url: string;
  client: Client;
  workers: Child[];
  coordinator: Child;
  stop: () => Promise<void>;
}

/**
 * A whole farm on this machine: a broker (the one that IHVP_NATS_URL names, else a private one), a coordinator and
 * workers, each a process of its own that ends with this one.
 */
export async function startLocalFarm(options: LocalFarmOptions): Promise<LocalFarm> {
  const { say, prefix } = options;
  const ensured = await ensureBroker({ say });
  const broker =
    'binary' in ensured
      ? await startPrivateBroker({
          binary: ensured.binary,
          say,
          ...(options.dataDir && { dataDir: options.dataDir }),
        })
      : undefined;
  const url = broker?.urlWithToken ?? (ensured as { url: string }).url;
  const children: Child[] = [];
  const stop = async () => {
    await Promise.all(children.map((child) => child.stop()));
    await broker?.stop();
  };
  try {
    const common = prefix ? ['--prefix', prefix] : [];
    const start = (name: string, words: string[]) => {
      const child = startChild([...words, ...common], url, (line) => say(`${name}: ${line}`));
      children.push(child);
      return child;
    };
    const coordinator = start('coordinator', ['coordinator']);
    const workerWords = [
      ...['worker', '--threads', String(options.threads)],
      ...(options.engine ? ['--engine', options.engine] : []),
      ...(options.files ?? []).flatMap((folder) => ['--files', folder]),
      ...(options.plugins ?? []).flatMap((file) => ['--plugin', file]),
    ];
    const gpuOf = (i: number) => (options.engine === 'tensorflow-gpu' ? ['--gpu', String(i)] : []);
    const workers = Array.from({ length: options.workers }, (_, i) =>
      start(`worker ${i + 1}`, [...workerWords, ...gpuOf(i)]),
    );
    const client = await connect({ url, prefix });
    try {
      await ready(client, options.workers, children);
    } catch (error) {
      await client.close();
      throw error;
    }
    return { url, client, coordinator, workers, stop: () => client.close().then(stop) };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Waits until the coordinator answers and every worker was heard. */
async function ready(client: Client, workers: number, children: Child[]): Promise<void> {
  const milliseconds = 60_000;
  const heard = client.workers(milliseconds, workers);
  let dead: number | null | undefined;
  for (const child of children) void child.exited.then((code) => (dead = code));
  let answers = false;
  for (const deadline = Date.now() + milliseconds; Date.now() < deadline; await delay(50)) {
    if (dead !== undefined) throw new TimeoutError(`a process of the farm ended with status ${dead}`);
    answers ||= await client.jobs(1).then(
      () => true,
      () => false,
    );
    if (answers && (await Promise.race([heard, delay(50, [])])).length >= workers) return;
  }
  throw new TimeoutError(`the farm was not ready after a minute`);
}
