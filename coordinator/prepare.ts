import { manifestDigest } from '../datasets/registry.js';
import type { Manifest } from '../protocol/dataset.js';
import { BadRequestError, ShapeMismatchError, TooLargeError } from '../protocol/errors.js';
import { countLeaves } from '../protocol/leaves.js';
import { checkModelFitsDataset, type Model } from '../protocol/model.js';
import { limits } from '../protocol/names.js';
import type { Request, Rhs } from '../protocol/requests.js';
import type { DatasetRef } from '../protocol/tasks.js';
import { decodeVectors } from '../protocol/vectors.js';
import type { Stores } from './stores.js';

const defaultLeafRows = 1024;

/** A request whose every name was looked up and whose every shape fits. */
export interface Prepared {
  request: Request;
  model: Model;
  manifest: Manifest;
  dataset: DatasetRef;
  leafRows: number;
  leaves: number;
  /** The dataset of gradient right-hand sides, where the request has such. */
  rhsDataset?: DatasetRef;
  /** Uploaded right-hand sides (K × p). */
  rhsVectors?: { values: Float64Array; count: number };
}

/**
 * Checks a request against the farm's models and datasets before anything runs.
 * @throws UnknownModelError, UnknownDatasetError, ShapeMismatchError, TooLargeError, BadRequestError
 */
export async function prepare(request: Request, stores: Stores): Promise<Prepared> {
  const [model, manifest] = await Promise.all([
    stores.models.get(request.model),
    stores.datasets.get(request.dataset),
  ]);
  checkModelFitsDataset(model, manifest);
  checkSize(1, model);
  if (request.type === 'solve' && request.method.name === 'direct') checkDense(model);
  const largestShard = manifest.shards.reduce((most, { rows }) => Math.max(most, rows), 0);
  const wholeShards = request.type === 'solve' && request.method.name === 'lissa';
  const wanted = request.leafRows ?? (wholeShards ? limits.leafRows : defaultLeafRows);
  const leafRows = Math.min(wanted, largestShard);
  const prepared: Prepared = {
    request,
    model,
    manifest,
    dataset: { name: manifest.name, sha256: manifestDigest(manifest) },
    leafRows,
    leaves: countLeaves(manifest.shards, leafRows),
  };
  if ('rhs' in request) await prepareRhs(prepared, request.rhs, stores);
  return prepared;
}

async function prepareRhs(prepared: Prepared, rhs: Rhs, stores: Stores): Promise<void> {
  const { model } = prepared;
  if (rhs.kind === 'ones') return;
  if (rhs.kind === 'gradient') {
    checkSize(rhs.rows.length, model);
    const manifest = await stores.datasets.get(rhs.dataset);
    checkModelFitsDataset(model, manifest);
    const row = rhs.rows.find((wanted) => wanted >= manifest.rows);
    if (row !== undefined)
      throw new BadRequestError(`dataset "${rhs.dataset}" has no row ${row}`, {
        hint: `its rows are 0 to ${manifest.rows - 1}`,
        details: { dataset: rhs.dataset, row },
      });
    prepared.rhsDataset = { name: rhs.dataset, sha256: manifestDigest(manifest) };
    return;
  }
  const bytes = await stores.vectors.get(rhs.name);
  if (!bytes)
    throw new BadRequestError(`there are no uploaded vectors "${rhs.name}"`, {
      hint: 'upload them first: --rhs FILE',
    });
  const { values, count, size } = decodeVectors(bytes);
  if (size !== model.parameters.count)
    throw new ShapeMismatchError(
      `the right-hand sides have ${size} values each, model "${model.name}" has ${model.parameters.count} parameters`,
      { hint: 'give one value for each parameter, in the order of `ihvp model show`' },
    );
  checkSize(count, model);
  prepared.rhsVectors = { values: Float64Array.from(values), count };
}

function checkDense({ name, parameters }: Model): void {
  if (parameters.count > limits.denseParameters)
    throw new TooLargeError(
      `model "${name}" has ${parameters.count} parameters: a direct solve takes at most ${limits.denseParameters}, whose matrix is 0.5 GB`,
      { hint: 'take --method cg, which never forms the matrix' },
    );
}

function checkSize(count: number, { parameters }: Model): void {
  if (count > limits.rightHandSides || count * parameters.count > limits.blockValues)
    throw new TooLargeError(
      `${count} right-hand sides of ${parameters.count} values are more than one request may have`,
      {
        hint: `send at most ${Math.min(limits.rightHandSides, Math.floor(limits.blockValues / parameters.count))} at once`,
      },
    );
}
