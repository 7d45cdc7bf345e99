import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where packages put programs that a user's PATH may lack: Debian's nats-server is in /usr/sbin. */
const packageFolders = ['/usr/sbin', '/usr/local/bin', '/opt/homebrew/bin'];

/** Absolute path of the first executable file `name` in `folders`. */
export function findIn(folders: readonly string[], name: string): string | undefined {
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

export const pathFolders = (env: NodeJS.ProcessEnv): string[] => (env.PATH ?? '').split(delimiter);

/** The `nats-server` of this machine: on the PATH, else where its packages put it. */
export function findServer(env: NodeJS.ProcessEnv = process.env): string | undefined {
  return findIn([...pathFolders(env), ...packageFolders], 'nats-server');
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
