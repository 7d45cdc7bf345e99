import { Command } from 'commander';
import { describe, expect, it } from '@jest/globals';
import { addDatasetCommands } from '../../../cli/commands/dataset.js';
import { addDemoCommand } from '../../../cli/commands/demo.js';
import { addJobCommands } from '../../../cli/commands/job.js';
import { addModelCommands } from '../../../cli/commands/model.js';
import { addProcessCommands } from '../../../cli/commands/processes.js';
import { addSpectrumCommand } from '../../../cli/commands/spectrum.js';
import { addSubmitCommands } from '../../../cli/commands/submit.js';

const program = new Command('ihvp');
for (const add of [
  addDatasetCommands,
  addDemoCommand,
  addJobCommands,
  addModelCommands,
  addProcessCommands,
  addSpectrumCommand,
  addSubmitCommands,
])
  add(program);

/** The commands that do something, each with what the user types for it. */
function* actions(command: Command, path: string): Generator<[string, Command]> {
  if (command.commands.length === 0) yield [path, command];
  for (const child of command.commands) yield* actions(child, `${path} ${child.name()}`);
}

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => void (text += part) }).outputHelp();
  return text;
}

describe('--help', () => {
  it('there are commands for everything', () => {
    const paths = [...actions(program, 'ihvp')].map(([path]) => path);
    for (const path of ['up', 'demo', 'solve', 'watch', 'dataset import', 'model create', 'broker ensure'])
      expect(paths).toContain(`ihvp ${path}`);
  });

  it.each([...actions(program, 'ihvp')])(
    '%s: an example of itself, with options that it has',
    (path, command) => {
      const help = helpOf(command);
      const example = /\nExample:\n {2}\$ (.+)\n/.exec(help)?.[1];
      expect(example).toBeDefined();
      expect(`${example} `.startsWith(`${path} `)).toBe(true);
      const known = command.options.map(({ long }) => long);
      for (const option of example!.match(/--[a-z0-9-]+/g) ?? []) expect(known).toContain(option);
      const words = example!
        .slice(path.length)
        .replace(/--\S+ \S+/g, '')
        .trim()
        .split(/\s+/)
        .filter(Boolean);
      expect(words).toHaveLength(command.registeredArguments.length);
      for (const option of ['--nats', '--prefix', '--json', '--debug']) expect(known).toContain(option);
      expect(command.description()).not.toBe('');
    },
  );
});
