import { mkdir, open, readdir, readFile, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { BadRequestError } from '../../protocol/errors.js';
import { manifestFile, type ShardStore } from './shard-store.js';

/** Only such files are ours; whatever else lies in the folder is never listed or removed. */
const ours = /^(shard-.*\.arrow|manifest\.json)(\.part)?$/;

/** A dataset in a folder of its own, `file:///folder/`. The folder is made when the first file is put. */
export class FileStore implements ShardStore {
  readonly location: string;
  private readonly folder: string;

  constructor(location: string) {
    if (!/^file:\/\/\/.*\/$/.test(location))
      throw new BadRequestError(`"${location}" is no folder`, { hint: 'write file:///path/of/a/folder/' });
    this.folder = fileURLToPath(location);
    this.location = pathToFileURL(this.folder).href;
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    const part = join(this.folder, `${name}.part`);
    const file = await open(part, 'w');
    try {
      await file.writeFile(bytes);
      if (name === manifestFile) await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, join(this.folder, name));
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    return readFile(join(this.folder, name)).catch(missing);
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.folder, name), { force: true });
    // The folder goes with its last file; one that holds anything else stays.
    await rmdir(this.folder).catch(() => undefined);
  }

  async list(): Promise<string[]> {
    const names = (await readdir(this.folder).catch(missing)) ?? [];
    return names.filter((name) => ours.test(name));
  }
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
