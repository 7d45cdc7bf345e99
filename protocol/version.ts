import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

function readVersion(): string {
  // From the source tree and from dist/ alike.
  for (const path of ['../package.json', '../../package.json'])
    try {
      const found = require(path) as { name?: string; version?: string };
      if (found.name === 'ihvp' && found.version) return found.version;
    } catch {
      continue;
    }
  return '0.0.0';
}

/** This package's version, for heartbeats and reports. */
export const version = readVersion();
