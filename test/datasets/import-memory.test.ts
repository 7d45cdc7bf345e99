import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { withFolder } from '../support/datasets.js';

const width = 60;

/** Prints the rows and by how many bytes the process grew at most. */
const script = (csv: string, store: string) => `
  import { importDataset } from ${JSON.stringify(new URL('../../datasets/import.js', import.meta.url).href)};
  import { readCsv } from ${JSON.stringify(new URL('../../datasets/read-csv.js', import.meta.url).href)};
  import { FileStore } from ${JSON.stringify(new URL('../../datasets/stores/file-store.js', import.meta.url).href)};
  const before = process.memoryUsage().rss;
  let most = before;
  const timer = setInterval(() => { most = Math.max(most, process.memoryUsage().rss); }, 20);
  const source = await readCsv(${JSON.stringify(csv)}, { label: 'y' });
  const manifest = await importDataset({ source, name: 'big', store: new FileStore(${JSON.stringify(store)}), shuffleSeed: 1, shuffleMemory: 2 ** 22, shardRows: 2000 });
  clearInterval(timer);
  console.log(JSON.stringify({ rows: manifest.rows, growth: most - before }));
`;

async function importCsv(rows: number): Promise<{ rows: number; growth: number }> {
  return withFolder(async (folder, url) => {
    const path = join(folder, 'big.csv');
    await pipeline(Readable.from(lines(rows)), createWriteStream(path));
    const args = [
      '--max-old-space-size=24',
      '--max-semi-space-size=1',
      '--input-type=module',
      '-e',
      script(path, `${url}big/`),
    ];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder });
    return JSON.parse(stdout) as { rows: number; growth: number };
  });
}

/** Lines of about 420 bytes, a thousand at a time. */
function* lines(rows: number): Generator<string> {
  yield [...Array.from({ length: width }, (_, column) => `x${column}`), 'y'].join() + '\n';
  for (let row = 0; row < rows; row += 1000) {
    let text = '';
    for (let line = row; line < row + 1000; line++)
      text += `0.${(line % 9000) + 1000},`.repeat(width) + `${line % 3}\n`;
    yield text;
  }
}

describe('importDataset', () => {
  it('importDataset: memory does not grow with the file', async () => {
    const { rows, growth } = await importCsv(160_000);
    expect(rows).toBe(160_000);
    // 67 MB of text, 39 MB of features and labels. Streamed, the process grows by about 30 MB, most of it garbage not
    // yet collected; with either of them in memory it would grow by 70 MB or more.
    expect(growth).toBeLessThan(50e6);
  }, 180_000);
});
