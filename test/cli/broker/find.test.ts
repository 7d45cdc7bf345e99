import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { ensureBroker } from '../../../cli/broker/ensure.js';
import { findIn, findServer } from '../../../cli/broker/find.js';

const folder = mkdtempSync(join(tmpdir(), 'ihvp-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('findServer', () => {
  it('findServer: the PATH comes first', () => {
    const program = join(folder, 'nats-server');
    writeFileSync(program, '');
    chmodSync(program, 0o755);
    expect(findServer({ PATH: `/nowhere::${folder}` })).toBe(program);
  });

  it('findIn: passes over folders and files that are not executable', () => {
    const [first, second, third] = ['first', 'second', 'third'].map((name) => join(folder, name));
    mkdirSync(join(first!, 'tool'), { recursive: true });
    mkdirSync(second!);
    writeFileSync(join(second!, 'tool'), '', { mode: 0o644 });
    mkdirSync(third!);
    writeFileSync(join(third!, 'tool'), '', { mode: 0o755 });
    expect(findIn([first!, second!, third!], 'tool')).toBe(join(third!, 'tool'));
    expect(findIn([first!, second!], 'tool')).toBeUndefined();
  });
});

describe('ensureBroker', () => {
  it('ensureBroker: IHVP_NATS_URL wins over any installed server', async () => {
    const before = process.env.IHVP_NATS_URL;
    process.env.IHVP_NATS_URL = 'nats://elsewhere:4222';
    try {
      const said: string[] = [];
      expect(await ensureBroker({ say: (line) => said.push(line) })).toEqual({
        url: 'nats://elsewhere:4222',
      });
      expect(said).toEqual([]);
    } finally {
      if (before === undefined) delete process.env.IHVP_NATS_URL;
      else process.env.IHVP_NATS_URL = before;
    }
  });
});
