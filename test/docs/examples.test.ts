import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { Command } from 'commander';
import { z } from 'zod';
import { activations, losses, networkSchema } from '../../protocol/model.js';
import { commandLines, examples, typeErrors } from './examples.js';

const pages = [
  'README.md',
  ...readdirSync('docs')
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
];

/** The whole `ihvp` command, as the modules of cli/commands/ add to it. */
async function program(): Promise<Command> {
  const ihvp = new Command('ihvp');
  for (const file of readdirSync('dist/cli/commands').filter((name) => name.endsWith('.js')))
    for (const [name, add] of Object.entries(
      (await import(resolve('dist/cli/commands', file))) as Record<string, unknown>,
    ))
      if (/^add\w+Commands?$/.test(name)) (add as (ihvp: Command) => void)(ihvp);
  return ihvp;
}

const namesOf = (command: Command): string[] =>
  command.commands.flatMap((inner) => [inner.name(), ...namesOf(inner)]);

describe('README.md', () => {
  it('TypeScript examples: type-check against the library', () => {
    const programs = examples('README.md', 'ts');
    expect(programs.length).toBeGreaterThan(0);
    // With a wrong field, to see that the check notices.
    const wrong = programs[0]!.replace('rows: [0, 1, 2]', 'row: 0');
    const [errorsOfWrong, ...errors] = typeErrors([wrong, ...programs]);
    expect(errors.flat()).toEqual([]);
    expect(errorsOfWrong).not.toEqual([]);
  }, 120_000);

  it('table of commands: names every command', async () => {
    const [, table] = /## Commands\n+([^]*?)\n\n/.exec(readFileSync('README.md', 'utf8'))!;
    const shown = [...table!.matchAll(/`([a-z ]+)`/g)].flatMap(([, words]) => words!.split(' '));
    const names = namesOf(await program());
    expect(names).toContain('solve');
    for (const name of names) expect(shown).toContain(name);
  });
});

describe('documentation', () => {
  it('shell examples: name commands and options that there are', async () => {
    const ihvp = await program();
    const lines = pages.flatMap(commandLines);
    expect(lines.length).toBeGreaterThan(10);
    for (const words of lines) {
      let command = ihvp;
      for (const word of words) command = command.commands.find((inner) => inner.name() === word) ?? command;
      const known = command.options.map(({ long }) => long);
      expect([words, command.commands.length]).toEqual([words, 0]);
      expect(known).toEqual(expect.arrayContaining(words.filter((word) => word.startsWith('--'))));
    }
  });

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
