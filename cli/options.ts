import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import { connect, type Client } from '../protocol/client.js';
import { nameSchema } from '../protocol/names.js';
import { exitOnUsage } from './terminal/fail.js';

/** Options of every command that talks to a farm. */
export interface FarmOptions {
  nats?: string;
  prefix?: string;
  json?: boolean;
  debug?: boolean;
}

/** A subcommand with the options that all commands share, and an example in its help. */
export function command(parent: Command, name: string, description: string, example: string): Command {
  const [word] = name.split(' ');
  const path = `${parent.parent ? `${parent.parent.name()} ` : ''}${parent.name()} ${word}`;
  return exitOnUsage(parent.command(name), path)
    .description(description)
    .addOption(new Option('--nats <url>', 'NATS server, nats://[TOKEN@]HOST:PORT').env('IHVP_NATS_URL'))
    .option('--prefix <name>', 'subject prefix, where several farms share a server', parsePrefix, 'ihvp')
    .option('--json', 'print one JSON document')
    .option('--debug', 'show where an error happened')
    .addHelpText('after', `\nExample:\n  $ ${example}`);
}

/** Runs `work` with a client and closes it, whatever happens. */
export async function withClient<T>(options: FarmOptions, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await connect({ url: options.nats, prefix: options.prefix });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

function parsePrefix(text: string): string {
  if (!nameSchema.safeParse(text).success)
    throw new InvalidArgumentError('write 1–64 letters, digits, "_" or "-"');
  return text;
}

/** `--cache 2GB`: a number of bytes, with an optional decimal or binary unit. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kMGT])(i?)B?|B)?$/.exec(text);
  if (!match) throw new InvalidArgumentError('write bytes, or a number with kB, MB, GB, MiB or GiB');
  const [, number, unit, binary] = match;
  const power = unit ? 'kMGT'.indexOf(unit) + 1 : 0;
  return Math.round(Number(number) * (binary ? 1024 : 1000) ** power);
}

export const parseInteger = (text: string) => wholeNumber(text, 0);

export const parseCount = (text: string) => wholeNumber(text, 1);

function wholeNumber(text: string, least: number): number {
  const value = Number(text);
  if (!/^\d{1,15}$/.test(text) || value < least)
    throw new InvalidArgumentError(`write a whole number from ${least}`);
  return value;
}

export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('write a number');
  return value;
}

export function parsePositive(text: string): number {
  const value = parseNumber(text);
  if (value <= 0) throw new InvalidArgumentError('write a number above 0');
  return value;
}

export function parseNotNegative(text: string): number {
  const value = parseNumber(text);
  if (value < 0) throw new InvalidArgumentError('write a number from 0');
  return value;
}

/** A number, or the word `auto`. */
export function orAuto(parse: (text: string) => number): (text: string) => number | 'auto' {
  return (text) => (text === 'auto' ? text : parse(text));
}

/** `0-4,17`: single numbers and ranges, both ends included. */
export function parseRows(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const match = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(part.trim());
    if (!match) throw new InvalidArgumentError(`"${part}" is neither a row number nor a range like 0-9`);
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || last - first >= 4096)
      throw new InvalidArgumentError(`"${part}" is not a range of at most 4096 rows`);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}
