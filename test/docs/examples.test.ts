import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { activations, losses, networkSchema } from '../../protocol/model.js';
import { commandLines, examples, typeErrors } from './examples.js';

const pages = [
  'README.md',
  ...readdirSync('docs')
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
];

/** What `ihvp <words> --help` prints. */
async function help(words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ['dist/cli/main.js', ...words, '--help']);
  return stdout;
}

const subcommands = (text: string) =>
  [...text.slice(text.indexOf('\nCommands:')).matchAll(/^ {2}([a-z]+)\b/gm)]
    .map(([, name]) => name!)
    .filter((name) => name !== 'help');

describe('README.md', () => {
  it('TypeScript examples: type-check against the library', () => {
    const programs = examples('README.md', 'ts');
    expect(programs.length).toBeGreaterThan(0);
    for (const program of programs) expect(typeErrors(program)).toEqual([]);
    // The check itself notices a wrong field.
    expect(typeErrors(programs[0]!.replace('rows: [0, 1, 2]', 'row: 0'))).not.toEqual([]);
  });

  it('table of commands: names every command', async () => {
    const [, table] = /## Commands\n+([^]*?)\n\n/.exec(readFileSync('README.md', 'utf8'))!;
    const shown = [...table!.matchAll(/`([a-z ]+)`/g)].flatMap(([, words]) => words!.split(' '));
    const top = await help([]);
    for (const name of subcommands(top)) {
      const inner = ['dataset', 'model', 'broker'].includes(name) ? subcommands(await help([name])) : [];
      for (const word of [name, ...inner]) expect(shown).toContain(word);
    }
  }, 120_000);
});

describe('documentation', () => {
  it('shell examples: name commands and options that there are', async () => {
    const known = new Map<string, Promise<string>>();
    for (const words of pages.flatMap(commandLines)) {
      const command = words.slice(0, ['dataset', 'model', 'broker'].includes(words[0]!) ? 2 : 1);
      const key = command.join(' ');
      if (!known.has(key)) known.set(key, help(command));
      const text = await known.get(key)!;
      expect(text).toMatch(new RegExp(`^Usage: ihvp ${key}\\b`, 'm'));
      for (const option of words.filter((word) => word.startsWith('--')))
        expect(text).toMatch(new RegExp(`^\\s+${option}\\b`, 'm'));
    }
    expect(known.size).toBeGreaterThan(5);
  }, 240_000);

  it.each(pages)('%s: every file that it links to is there', (page) => {
    const folder = page.startsWith('docs/') ? 'docs/' : '';
    for (const [, target] of readFileSync(page, 'utf8').matchAll(/\]\((?!https?:)([^)#]+)/g))
      expect([target, existsSync(folder + target)]).toEqual([target, true]);
  });

  it('docs/models.md: has a row for every layer, activation and loss', () => {
    const text = readFileSync('docs/models.md', 'utf8');
    const layers = typesIn(z.toJSONSchema(networkSchema, { io: 'input' }));
    expect(layers).toContain('dense');
    for (const name of [...layers, ...activations, ...losses])
      expect(text).toMatch(new RegExp(`^\\| \`${name}\``, 'm'));
  });
});

/** Every value that a property `type` is held to, anywhere in a JSON Schema: the types of layers. */
function typesIn(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const { type } = (schema as { properties?: { type?: { const?: unknown } } }).properties ?? {};
  const own = typeof type?.const === 'string' ? [type.const] : [];
  return [...own, ...Object.values(schema).flatMap(typesIn)];
}
