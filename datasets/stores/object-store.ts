import type { Objects } from '../../protocol/objects.js';
import type { ShardStore } from './shard-store.js';

/** A dataset in a JetStream Object Store that it shares with others: objects `<dataset>/<file>`. */
export class ObjectShardStore implements ShardStore {
  readonly location = 'nats:';

  constructor(
    private readonly objects: Objects,
    private readonly dataset: string,
  ) {}

  async put(name: string, bytes: Uint8Array): Promise<void> {
    await this.objects.put(`${this.dataset}/${name}`, bytes);
  }

  get(name: string): Promise<Uint8Array | undefined> {
    return this.objects.get(`${this.dataset}/${name}`);
  }

  remove(name: string): Promise<void> {
    return this.objects.delete(`${this.dataset}/${name}`);
  }

  async list(): Promise<string[]> {
    const prefix = `${this.dataset}/`;
    return (await this.objects.list(prefix)).map((name) => name.slice(prefix.length));
  }
}
