import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { DatasetRegistry, manifestDigest } from '../../datasets/registry.js';
import type { Client } from '../../protocol/client.js';
import { networkDigest } from '../../protocol/digest.js';
import { BadFileError, BadRequestError } from '../../protocol/errors.js';
import { reportSchema, type Report } from '../../protocol/jobs.js';
import { parseJson } from '../../protocol/parse.js';
import type { RequestInput } from '../../protocol/requests.js';
import { unused } from './option-fields.js';

/** What may be said beside `--from`: it is no part of the request. */
const beside = ['from', 'id', 'detach', 'out', 'nats', 'prefix', 'json', 'debug'];

/** `--from REPORT.json` in place of everything that the command otherwise requires. */
export function addRepeatOption(command: Command): Command {
  const required = command.options.filter(({ mandatory }) => mandatory);
  for (const option of required) option.mandatory = false;
  return command
    .option('--from <report>', 'repeat the solve of a report.json: the same request, and so the same bits')
    .hook('preAction', (_, action) => {
      const given = action.opts();
      const missing = required.find((option) => given[option.attributeName()] === undefined);
      if (given['from'] === undefined && missing)
        action.error(`error: required option '${missing.flags}' not specified`);
    });
}

/**
 * The request of a report, its defaults and the size of its leaves filled in.
 * @throws BadRequestError where other options say what to solve, or model or dataset are no longer those of the report
 */
export async function requestOfReport(client: Client, path: string, command: Command): Promise<RequestInput> {
  const others = command.options.filter(
    (option) =>
      !beside.includes(option.attributeName()) &&
      command.getOptionValueSource(option.attributeName()) === 'cli',
  );
  if (others.length > 0)
    throw unused(
      others.map(({ long }) => long!),
      'a request of your own, without --from',
    );
  const report = await readReport(path);
  const { request, dataset, chosen } = report;
  if (request.type !== 'solve')
    throw new BadRequestError(`${path} is the report of a ${request.type}, not of a solve`, {
      hint: `repeat it with \`ihvp ${request.type}\``,
    });
  const changed = await changedSince(report, client);
  if (changed)
    throw new BadRequestError(`${changed} changed since the report was written: its bits cannot come again`, {
      hint: 'solve anew, with options instead of --from',
    });
  // What auto does depends on how long products take.
  const method =
    request.method.name === 'auto' && chosen?.again
      ? { ...request.method, again: chosen.again }
      : request.method;
  return { ...request, method, leafRows: dataset.leafRows };
}

/** What a solve was made of that is not as it was. */
async function changedSince({ model, dataset, rhsDataset }: Report, client: Client) {
  const models = await client.models();
  const datasets = await DatasetRegistry.open(client.nc, client.names);
  const now = await models.get(model.name);
  if (now.parameters.sha256 !== model.sha256) return `the parameters of model "${model.name}"`;
  if (model.network && networkDigest(now) !== model.network)
    return `layers, loss or l2 of model "${model.name}"`;
  for (const { name, sha256 } of rhsDataset ? [dataset, rhsDataset] : [dataset])
    if (manifestDigest(await datasets.get(name)) !== sha256) return `dataset "${name}"`;
  return undefined;
}

async function readReport(path: string) {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new BadFileError(`${path} cannot be read: ${(cause as Error).message}`, {
      hint: 'give the report.json that --out wrote',
      cause,
    });
  });
  return parseJson(reportSchema, bytes, `the report ${path}`);
}
