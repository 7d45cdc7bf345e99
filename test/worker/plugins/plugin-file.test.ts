import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BadFileError, BadRequestError } from '../../../protocol/errors.js';
import { loadPlugins } from '../../../worker/plugins/plugin-file.js';
import { expectSecondOrder } from './expect-second-order.js';

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'plugins-'))));
afterAll(() => rm(folder, { recursive: true }));

async function loading(text: string) {
  const file = join(folder, `${Math.random()}.mjs`);
  await writeFile(file, text);
  return loadPlugins([file]);
}

describe('loadPlugins', () => {
  it('the example: both objectives', async () => {
    expect([...(await loadPlugins(['examples/losses.mjs'])).keys()]).toEqual(['heteroscedastic', 'ordinal']);
  });

  it.each([
    ['a syntax error', 'export const = 1', BadFileError],
    ['an export that is no objective', 'export const helper = 1', BadFileError],
    ['an objective without parameters', 'export const mine = { parameters: {}, loss() {} }', BadRequestError],
    ['a shape that is none', 'export const mine = { parameters: { w: [0] }, loss() {} }', BadRequestError],
  ] as const)('%s: refused', async (_, text, kind) => {
    await expect(loading(text)).rejects.toBeInstanceOf(kind);
  });

  it('a name twice, or no file: refused', async () => {
    await expect(loadPlugins(['examples/losses.mjs', 'examples/losses.mjs'])).rejects.toBeInstanceOf(
      BadFileError,
    );
    await expect(loadPlugins([join(folder, 'absent.mjs')])).rejects.toBeInstanceOf(BadFileError);
  });

  it.each(['cpu', 'wasm'])('the ordinal example agrees with float64 on %s', async (engine) => {
    const { ordinal } = Object.fromEntries(await loadPlugins(['examples/losses.mjs']));
    const sigma = (x: number) => 1 / (1 + Math.exp(-x));
    await expectSecondOrder(engine, {
      ...ordinal!,
      width: 3,
      classes: 3,
      reference: ({ line, thresholds }, x, [label]) => {
        const score = x.reduce((sum, value, i) => sum + value * line![i]!, 0);
        const [first, second] = thresholds!.map((value) => Math.log1p(Math.exp(value))) as [number, number];
        const atLeast = [1, sigma(score - first), sigma(score - first - second), 0];
        return -Math.log(atLeast[label!]! - atLeast[label! + 1]!);
      },
    });
  });
});
