import { randomBytes } from 'node:crypto';
import { startChild, type Child } from '../../cli/child-process.js';
import { startLocalFarm } from '../../cli/farm.js';
import { importDataset } from '../../datasets/import.js';
import { DatasetRegistry } from '../../datasets/registry.js';
import type { RowSource } from '../../datasets/rows.js';
import { openStore } from '../../datasets/stores/open-store.js';
import type { Client, Result } from '../../protocol/client.js';
import type { Manifest } from '../../protocol/dataset.js';
import type { AnyNetwork } from '../../protocol/model.js';
import { Objects } from '../../protocol/objects.js';
import type { RequestInput } from '../../protocol/requests.js';

export interface TestFarmOptions {
  workers?: number;
  threads?: number;
  engine?: string;
  /** Folders that the workers may read. */
  files?: string[];
  /** Modules with loss functions. */
  plugins?: string[];
}

export interface Answer extends Result {
  /** The vectors of the result file. */
  values: Float64Array;
}

/** A farm of real processes under a prefix of its own, with short ways to fill and ask it. */
export class TestFarm {
  private constructor(
    readonly client: Client,
    readonly url: string,
    readonly prefix: string,
    /** Every process that was started and not ended by the test. */
    readonly processes: Child[],
    /** What the processes said. */
    readonly said: string[],
    private readonly stopFarm: () => Promise<void>,
  ) {}

  static async start({ workers = 1, threads = 1, ...rest }: TestFarmOptions = {}): Promise<TestFarm> {
    const prefix = `test${randomBytes(6).toString('hex')}`;
    const said: string[] = [];
    const say = (line: string) => void said.push(line);
    const farm = await startLocalFarm({ workers, threads, ...rest, prefix, say });
    const processes = [farm.coordinator, ...farm.workers];
    return new TestFarm(farm.client, farm.url, prefix, processes, said, farm.stop);
  }

  /** Starts `count` more workers and waits until they are heard. */
  async addWorkers(count: number, threads = 1): Promise<Child[]> {
    const before = (await this.client.workers()).length;
    const words = ['worker', '--threads', String(threads), '--prefix', this.prefix];
    const added = Array.from({ length: count }, () =>
      startChild(words, this.url, (line) => void this.said.push(line)),
    );
    this.processes.push(...added);
    const heard = await this.client.workers(60_000, before + count);
    if (heard.length < before + count) throw new Error(`${heard.length - before} of ${count} workers came`);
    return added;
  }

  /** Ends workers that `addWorkers` started; the coordinator has heard of it once this resolves. */
  async endWorkers(workers: Child[]): Promise<void> {
    await Promise.all(workers.map((worker) => worker.stop()));
    for (const worker of workers) this.processes.splice(this.processes.indexOf(worker), 1);
  }

  async importRows(name: string, source: RowSource, shardRows?: number): Promise<Manifest> {
    const { nc, names } = this.client;
    const shards = await Objects.open(nc, names.stores.shards);
    const registry = await DatasetRegistry.open(nc, names);
    const store = openStore('nats:', name, shards);
    return importDataset({ source, name, store, registry, shuffleSeed: 0, shardRows });
  }

  async putModel(name: string, network: AnyNetwork, parameters: ArrayLike<number>): Promise<void> {
    await (await this.client.models()).put({ ...network, name }, Float32Array.from(parameters), true);
  }

  /** Submits a request, waits for it, and reads its vectors. */
  async ask(request: RequestInput): Promise<Answer> {
    const { id } = await this.client.submit(request);
    const result = await this.client.wait(id);
    const name = result.files.find((file) => file.name.endsWith('.arrow'))!.name;
    const { values } = await this.client.vectors(id, name.slice(id.length + 1));
    return { ...result, values: Float64Array.from(values) };
  }

  async stop(): Promise<void> {
    await Promise.all(this.processes.map((child) => child.stop()));
    await this.stopFarm();
  }
}
