import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Objm, type ObjectStore } from '@nats-io/obj';
import { sha256 } from '../../protocol/digest.js';
import {
  AlreadyExistsError,
  BadFileError,
  BadRequestError,
  CorruptShardError,
  UnknownModelError,
} from '../../protocol/errors.js';
import { ModelStore } from '../../protocol/model-store.js';
import { networkSchema } from '../../protocol/model.js';
import { Objects } from '../../protocol/objects.js';
import { encodeVectors } from '../../protocol/vectors.js';
import { type TestBroker, startTestBroker } from '../support/broker.js';
import { rejection } from '../support/datasets.js';

let broker: TestBroker;
let objects: Objects;
let models: ModelStore;
/** The bucket that `objects` reads, by the client library alone. */
let raw: ObjectStore;
let rawModels: ObjectStore;

beforeAll(async () => {
  broker = await startTestBroker();
  const { connection: nc, names } = broker;
  objects = await Objects.open(nc, names.stores.results);
  models = await ModelStore.open(nc, names);
  raw = await new Objm(nc).open(names.stores.results);
  rawModels = await new Objm(nc).open(names.stores.models);
});
afterAll(() => broker.stop());

const bytesOf = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed) % 251);

describe('Objects', () => {
  it('put and get: any length, whole, in memory of its own', async () => {
    for (const length of [0, 1, 512 * 1024 - 1, 512 * 1024, 1_200_001]) {
      const bytes = bytesOf(length, length);
      const file = { name: `o${length}`, bytes: length, sha256: sha256(bytes) };
      expect(await objects.put(file.name, bytes)).toEqual(file);
      const got = (await objects.get(file.name))!;
      expect(Buffer.compare(got, bytes)).toBe(0);
      expect([got.byteOffset, got.buffer.byteLength]).toEqual([0, length]);
      expect(await objects.files(file.name)).toContainEqual(file);
    }
  });

  it('put: replaces what was there', async () => {
    await objects.put('twice', bytesOf(1_000_000, 1));
    await objects.put('twice', bytesOf(10, 2));
    expect(await objects.get('twice')).toEqual(bytesOf(10, 2));
  });

  it('get and delete: nothing where there is none; list: by prefix, sorted', async () => {
    expect(await objects.get('none')).toBeUndefined();
    await objects.delete('none');
    for (const name of ['job/b', 'job/a', 'jobs/c']) await objects.put(name, bytesOf(3, 3));
    expect(await objects.list('job/')).toEqual(['job/a', 'job/b']);
    await objects.delete('job/a');
    expect(await objects.list('job/')).toEqual(['job/b']);
    expect(await objects.get('job/a')).toBeUndefined();
  });

  it('get: bytes that are not those of the record are CorruptShardError', async () => {
    await objects.put('whole', bytesOf(100_000, 1));
    await objects.put('other', bytesOf(100_000, 2));
    // The record of one with the chunks of the other, as a broken disk or a wrong program might leave it.
    const { nuid } = (await raw.info('other'))!;
    const record = (await raw.info('whole')) as unknown as { info: object };
    const subject = `$O.${broker.names.stores.results}.M.${Buffer.from('whole').toString('base64url')}`;
    const padded = subject + '='.repeat((4 - (Buffer.from('whole').toString('base64url').length % 4)) % 4);
    await broker.connection.request(padded, JSON.stringify({ ...record.info, nuid }));
    expect(await rejection(objects.get('whole'))).toBeInstanceOf(CorruptShardError);
    expect(await objects.get('other')).toEqual(bytesOf(100_000, 2));
  });
});

describe('ModelStore', () => {
  const network = networkSchema.parse({
    input: { shape: [2] },
    layers: [{ type: 'dense', units: 1 }],
    loss: 'squaredError',
  });
  const described = (name: string) => ({ name, ...network });
  const parameters = (w: number) => Float32Array.of(w, 2, 3);

  it('put, get, parameters, list, remove', async () => {
    const put = await models.put(described('a'), parameters(1));
    expect(await models.get('a')).toEqual(put);
    expect(await models.parameters(put)).toEqual(parameters(1));
    await models.put(described('b'), parameters(9));
    expect((await models.list()).map(({ name }) => name)).toEqual(['a', 'b']);
    await models.remove('b');
    expect(await models.names()).toEqual(['a']);
    expect(await rejection(models.get('b'))).toMatchObject({
      code: 'unknown-model',
      hint: 'the models are: a',
    });
    expect(await rejection(models.remove('b'))).toBeInstanceOf(UnknownModelError);
    expect(await rawModels.list()).toHaveLength(2); // the description and the parameters of a
  });

  it('put: replaces only where told to, and sweeps the parameters that were', async () => {
    const first = await models.put(described('r'), parameters(1));
    expect(await rejection(models.put(described('r'), parameters(2)))).toBeInstanceOf(AlreadyExistsError);
    expect(await models.parameters(await models.get('r'))).toEqual(parameters(1));
    const second = await models.put(described('r'), parameters(2), true);
    expect(await models.parameters(await models.get('r'))).toEqual(parameters(2));
    expect(await models.parameters(second)).toEqual(parameters(2));
    // Whoever still has the old description is told, and never gets the new parameters for it.
    expect(await rejection(models.parameters(first))).toBeInstanceOf(BadFileError);
  });

  it('a model whose writing was cut short is not there, and can be put', async () => {
    await rawModels.putBlob({ name: 'half/0.arrow' }, encodeVectors(parameters(1), 1, 3));
    expect(await rejection(models.get('half'))).toBeInstanceOf(UnknownModelError);
    expect(await models.names()).not.toContain('half');
    const put = await models.put(described('half'), parameters(4));
    expect(await models.parameters(put)).toEqual(parameters(4));
  });

  it('parameters: altered or missing ones are BadFileError', async () => {
    const put = await models.put(described('altered'), parameters(1));
    const name = `altered/${put.parameters.sha256}.arrow`;
    await rawModels.putBlob({ name }, encodeVectors(parameters(7), 1, 3));
    expect(await rejection(models.parameters(put))).toBeInstanceOf(BadFileError);
    await rawModels.delete(name);
    expect(await rejection(models.parameters(put))).toBeInstanceOf(BadFileError);
  });

  it('get: a description that breaks its rules is BadRequestError, and names goes on', async () => {
    await rawModels.putBlob({ name: 'broken/model.json' }, Buffer.from('{"format":"ihvp-model"}'));
    expect(await rejection(models.get('broken'))).toBeInstanceOf(BadRequestError);
    expect(await models.names()).toContain('broken');
    expect(await rejection(models.get('nowhere'))).toBeInstanceOf(UnknownModelError);
  });
});
