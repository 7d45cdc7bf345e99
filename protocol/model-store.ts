import type { NatsConnection } from '@nats-io/nats-core';
import { AlreadyExistsError, BadFileError, UnknownModelError } from './errors.js';
import { modelSchema, type AnyNetwork, type Model } from './model.js';
import { sha256 } from './digest.js';
import { Objects } from './objects.js';
import { parseJson } from './parse.js';
import type { Names } from './subjects.js';
import { decodeVectors, encodeVectors } from './vectors.js';

const suffix = '/model.json';

/**
 * The farm's models: `<name>/model.json`, and the parameters beside it under their digest. The description is written
 * last, so a half-written model is never seen and a replaced one changes at once.
 */
export class ModelStore {
  #objects: Objects;

  private constructor(objects: Objects) {
    this.#objects = objects;
  }

  static async open(nc: NatsConnection, names: Names): Promise<ModelStore> {
    return new ModelStore(await Objects.open(nc, names.stores.models));
  }

  /** @throws AlreadyExistsError unless `replace` */
  async put(
    description: AnyNetwork & { name: string },
    parameters: Float32Array,
    replace = false,
  ): Promise<Model> {
    const { name } = description;
    const earlier = await this.#objects.get(name + suffix);
    if (earlier && !replace)
      throw new AlreadyExistsError(`there is a model "${name}" already`, {
        hint: `choose another name, or replace it with --replace, or remove it with \`ihvp model rm ${name}\``,
      });
    const bytes = encodeVectors(parameters, 1, parameters.length);
    const model: Model = {
      format: 'ihvp-model',
      version: 1,
      ...description,
      parameters: { count: parameters.length, sha256: sha256(bytes) },
      created: new Date().toISOString(),
    };
    await this.#objects.put(this.#parametersName(model), bytes);
    await this.#objects.put(name + suffix, Buffer.from(JSON.stringify(model, null, 2)));
    await this.#sweep(name, this.#parametersName(model));
    return model;
  }

  /** @throws UnknownModelError */
  async get(name: string): Promise<Model> {
    const bytes = await this.#objects.get(name + suffix);
    if (bytes) return parseJson(modelSchema, bytes, `model "${name}"`);
    const known = await this.names();
    throw new UnknownModelError(`there is no model "${name}"`, {
      hint: known.length
        ? `the models are: ${known.join(', ')}`
        : 'make one with `ihvp model create` or `ihvp model import`',
      details: { model: name },
    });
  }

  /** θ, checked against the model's digest. */
  async parameters(model: Model): Promise<Float32Array> {
    const bytes = await this.#objects.get(this.#parametersName(model));
    if (!bytes || sha256(bytes) !== model.parameters.sha256)
      throw new BadFileError(`the parameters of model "${model.name}" are missing or altered`, {
        hint: 'import or create the model again',
        details: { model: model.name },
      });
    const { values, size } = decodeVectors(bytes);
    if (!(values instanceof Float32Array) || size !== model.parameters.count)
      throw new BadFileError(
        `the parameters of model "${model.name}" are not ${model.parameters.count} float32 values`,
      );
    return values;
  }

  /** Sorted. */
  async names(): Promise<string[]> {
    const objects = await this.#objects.list();
    return objects.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length));
  }

  async list(): Promise<Model[]> {
    const models: Model[] = [];
    for (const name of await this.names()) {
      const bytes = await this.#objects.get(name + suffix);
      if (bytes) models.push(parseJson(modelSchema, bytes, `model "${name}"`));
    }
    return models;
  }

  /** @throws UnknownModelError */
  async remove(name: string): Promise<void> {
    await this.get(name);
    await this.#objects.delete(name + suffix);
    await this.#sweep(name);
  }

  #parametersName({ name, parameters }: Model): string {
    return `${name}/${parameters.sha256}.arrow`;
  }

  /** Deletes parameters of `name` that no description names. */
  async #sweep(name: string, keep?: string): Promise<void> {
    const stale = (await this.#objects.list(`${name}/`)).filter(
      (object) => object.endsWith('.arrow') && object !== keep,
    );
    for (const object of stale) await this.#objects.delete(object);
  }
}
