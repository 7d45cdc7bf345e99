import { access, constants } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Option, type Command } from 'commander';
import { importDataset, removeDataset } from '../../datasets/import.js';
import type { LabelKind } from '../../datasets/labels.js';
import { readArrow } from '../../datasets/read-arrow.js';
import { readCsv } from '../../datasets/read-csv.js';
import { readMnist } from '../../datasets/read-mnist.js';
import { DatasetRegistry } from '../../datasets/registry.js';
import type { RowSource } from '../../datasets/rows.js';
import { openStore } from '../../datasets/stores/open-store.js';
import type { Client } from '../../protocol/client.js';
import type { Manifest } from '../../protocol/dataset.js';
import { BadFileError, BadRequestError } from '../../protocol/errors.js';
import { nameSchema } from '../../protocol/names.js';
import { Objects } from '../../protocol/objects.js';
import { parseValue } from '../../protocol/parse.js';
import { command, parseCount, parseInteger, withClient, type FarmOptions } from '../options.js';
import { run } from '../terminal/fail.js';
import { formatBytes, formatNumber } from '../terminal/format.js';
import { print, table } from '../terminal/output.js';
import { startProgress } from '../terminal/progress.js';

interface ImportCommandOptions extends FarmOptions {
  name?: string;
  label?: string;
  labelKind: LabelKind;
  weight?: string;
  seed: number;
  shardRows?: number;
  store: string;
  replace?: boolean;
}

export function addDatasetCommands(program: Command): void {
  const dataset = program.command('dataset').description('import, list, show and remove datasets');

  command(
    dataset,
    'import <source>',
    'import mnist, FILE.csv or FILE.arrow as shuffled Arrow shards',
    'ihvp dataset import data.csv --label price',
  )
    .option('--name <name>', "the dataset's name (default: mnist-train and mnist-test, or the file's name)")
    .option('--label <column>', 'the label column: its name, or its number from 0 in a CSV without a header')
    .addOption(
      new Option('--label-kind <kind>', 'what the labels are')
        .choices(['auto', 'class', 'real'])
        .default('auto'),
    )
    .option('--weight <column>', 'a column of weights ≥ 0, named as the label is: means are weighted by them')
    .option('--seed <n>', 'seed of the shuffle', parseInteger, 0)
    .option('--shard-rows <n>', 'rows of a shard (default: about 12.8 MB of them)', parseCount)
    .option('--store <where>', 'nats, or a folder that all workers can read', 'nats')
    .option('--replace', 'replace a dataset of the same name')
    .action(
      run(async (source: string, options: ImportCommandOptions) => {
        await withClient(options, async (client) => {
          const imported: Manifest[] = [];
          for (const { name, rows } of await openSources(source, options))
            imported.push(await importOne(client, name, rows, options));
          print(options, { datasets: imported.map(summary) }, () => imported.map(sentence).join('\n'));
        });
      }),
    );

  command(dataset, 'list', 'the datasets of the farm', 'ihvp dataset list').action(
    run(async (options: FarmOptions) => {
      await withClient(options, async (client) => {
        const manifests = await (await DatasetRegistry.open(client.nc, client.names)).list();
        print(options, { datasets: manifests.map(summary) }, () => listing(manifests));
      });
    }),
  );

  command(dataset, 'show <name>', 'everything about one dataset', 'ihvp dataset show mnist-train').action(
    run(async (name: string, options: FarmOptions) => {
      await withClient(options, async (client) => {
        const manifest = await (await DatasetRegistry.open(client.nc, client.names)).get(name);
        print(options, manifest, () => JSON.stringify(manifest, null, 2));
      });
    }),
  );

  command(dataset, 'rm <name>', 'remove a dataset and its shards', 'ihvp dataset rm mnist-test').action(
    run(async (name: string, options: FarmOptions) => {
      await withClient(options, async (client) => {
        const registry = await DatasetRegistry.open(client.nc, client.names);
        const { location } = await registry.get(name);
        const shards = await Objects.open(client.nc, client.names.stores.shards);
        await removeDataset(name, openStore(location, name, shards), registry);
        print(options, { removed: name }, () => `removed dataset ${name}`);
      });
    }),
  );
}

/** Imports one source under a name, with a bar. */
export async function importOne(
  client: Client,
  name: string,
  source: RowSource,
  options: Pick<ImportCommandOptions, 'seed' | 'store' | 'json' | 'replace' | 'shardRows'>,
): Promise<Manifest> {
  parseValue(nameSchema, name, `the dataset name "${name}"`);
  const shards = await Objects.open(client.nc, client.names.stores.shards);
  const location =
    options.store === 'nats' ? 'nats:' : pathToFileURL(resolve(options.store, name) + '/').href;
  const progress = startProgress({
    label: `import ${name}`,
    total: source.rows,
    json: options.json ?? false,
  });
  try {
    return await importDataset({
      source,
      name,
      store: openStore(location, name, shards),
      registry: await DatasetRegistry.open(client.nc, client.names),
      shuffleSeed: options.seed,
      shardRows: options.shardRows,
      replace: options.replace,
      onProgress: ({ rows, shards: written }) =>
        progress.update(rows, `${written} ${written === 1 ? 'shard' : 'shards'}`),
    });
  } finally {
    progress.stop();
  }
}

async function openSources(
  source: string,
  options: ImportCommandOptions,
): Promise<{ name: string; rows: RowSource }[]> {
  const { label, labelKind, weight } = options;
  if (source === 'mnist') {
    const base = options.name ?? 'mnist';
    return [
      { name: `${base}-train`, rows: await readMnist('train') },
      { name: `${base}-test`, rows: await readMnist('test') },
    ];
  }
  const name = options.name ?? basename(source).replace(/\.[^.]*$/, '');
  const kind = /\.(csv|tsv|arrow|feather|ipc)$/i.exec(source)?.[1]?.toLowerCase();
  if (!kind)
    throw new BadRequestError(`"${source}" is nothing that can be imported`, {
      hint: 'import mnist, a file named *.csv or *.tsv, or an Arrow IPC file named *.arrow, *.feather or *.ipc',
    });
  if (label === undefined)
    throw new BadRequestError('which column is the label?', { hint: 'say --label COLUMN' });
  await access(source, constants.R_OK).catch((cause: unknown) => {
    throw new BadFileError(`${source} cannot be read: ${(cause as Error).message}`, {
      hint: 'check the path, from the folder you are in',
      cause,
    });
  });
  if (kind === 'csv') return [{ name, rows: await readCsv(source, { label, labelKind, weight }) }];
  if (kind === 'tsv')
    return [{ name, rows: await readCsv(source, { label, labelKind, weight, delimiter: '\t' }) }];
  return [{ name, rows: await readArrow(source, { label, labelKind, weight }) }];
}

function summary({
  name,
  rows,
  features,
  labels,
  weights,
  shards,
  location,
  source,
  shuffleSeed,
  created,
}: Manifest) {
  const bytes = shards.reduce((sum, shard) => sum + shard.bytes, 0);
  return {
    name,
    rows,
    features: features.width,
    labels,
    weights,
    shards: shards.length,
    bytes,
    location,
    source,
    shuffleSeed,
    created,
  };
}

const labelText = ({ labels, weights }: Manifest) => kindText(labels) + (weights ? ', weighted' : '');

const kindText = (labels: Manifest['labels']) =>
  labels.kind === 'class'
    ? `${labels.classes} classes`
    : labels.width === 1
      ? 'real'
      : `real × ${labels.width}`;

function sentence(manifest: Manifest): string {
  const { name, rows, features, shards, bytes, location } = summary(manifest);
  const where = location === 'nats:' ? 'the object store' : location;
  return `${name}: ${formatNumber(rows)} rows × ${features} features, ${labelText(manifest)}, ${formatNumber(shards)} ${shards === 1 ? 'shard' : 'shards'} (${formatBytes(bytes)}) in ${where}`;
}

function listing(manifests: Manifest[]): string {
  if (manifests.length === 0) return 'no datasets yet: ihvp dataset import mnist';
  return table(
    [
      { title: 'name' },
      { title: 'rows', align: 'right' },
      { title: 'features', align: 'right' },
      { title: 'labels' },
      { title: 'shards', align: 'right' },
      { title: 'size', align: 'right' },
      { title: 'source' },
    ],
    manifests.map((manifest) => {
      const { name, rows, features, shards, bytes, source } = summary(manifest);
      const counts = [formatNumber(rows), formatNumber(features), labelText(manifest), formatNumber(shards)];
      return [name, ...counts, formatBytes(bytes), source];
    }),
  );
}
