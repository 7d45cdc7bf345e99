import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { DatasetRegistry, manifestDigest } from '../../datasets/registry.js';
import type { Client } from '../../protocol/client.js';
import { BadFileError, BadRequestError } from '../../protocol/errors.js';
import { reportSchema } from '../../protocol/jobs.js';
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
  const { request, model, dataset, chosen } = await readReport(path);
  if (request.type !== 'solve')
    throw new BadRequestError(`${path} is the report of a ${request.type}, not of a solve`, {
      hint: `repeat it with \`ihvp ${request.type}\``,
    });
  const [models, datasets] = await Promise.all([
    client.models(),
    DatasetRegistry.open(client.nc, client.names),
  ]);
  const [modelNow, manifest] = await Promise.all([models.get(model.name), datasets.get(dataset.name)]);
  const changed =
    modelNow.parameters.sha256 !== model.sha256
      ? `the parameters of model "${model.name}"`
      : manifestDigest(manifest) !== dataset.sha256
        ? `dataset "${dataset.name}"`
        : undefined;
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

async function readReport(path: string) {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new BadFileError(`${path} cannot be read: ${(cause as Error).message}`, {
      hint: 'give the report.json that --out wrote',
      cause,
    });
  });
  return parseJson(reportSchema, bytes, `the report ${path}`);
}
