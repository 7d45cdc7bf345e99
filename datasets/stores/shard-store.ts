/** Where the files of one dataset lie: its shards, and its manifest under `manifest.json`. */
export interface ShardStore {
  /** What the manifest says of this place. */
  readonly location: string;
  /** All or nothing: a reader sees the whole new file or none of it. */
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** The file, in memory of its own that begins aligned; undefined if there is none. */
  get(name: string): Promise<Uint8Array | undefined>;
  /** No error if there is none. */
  remove(name: string): Promise<void>;
  /** Names of the dataset's files, those of unfinished imports too. */
  list(): Promise<string[]>;
}

export const manifestFile = 'manifest.json';
