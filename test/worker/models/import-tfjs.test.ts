import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import {
  BadFileError,
  ForbiddenError,
  NotFiniteError,
  ShapeMismatchError,
  UnsupportedError,
} from '../../../protocol/errors.js';
import { parameterLayout } from '../../../protocol/model.js';
import type { Loss } from '../../../protocol/model.js';
import { importTfjs } from '../../../worker/models/import-tfjs.js';
import type { ImportedModel } from '../../../worker/models/import-tfjs.js';

let folder: string;
let count = 0;
beforeAll(async () => {
  tf.enableProdMode(); // no advertisement on the console
  await tf.setBackend('cpu');
  folder = await mkdtemp(join(tmpdir(), 'ihvp-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

interface ModelFile {
  format?: string;
  modelTopology: { class_name: string; config: { layers: { class_name: string; config: object }[] } };
  weightsManifest: { paths: string[]; weights: { name: string; shape: number[]; dtype: string }[] }[];
}

/** Writes what tfjs itself saves, as its own file handler does, but cut into `shards` files. */
async function save(model: tf.LayersModel, shards = 1, change = (file: ModelFile) => file): Promise<string> {
  const home = join(folder, String(count++));
  await mkdir(home);
  await model.save(
    tf.io.withSaveHandler(async ({ modelTopology, weightSpecs, weightData, format }) => {
      const bytes = Buffer.from(weightData as ArrayBuffer);
      const paths = Array.from({ length: shards }, (_, i) => `group1-shard${i + 1}of${shards}.bin`);
      const cut = (i: number) => Math.floor((i * bytes.length) / shards);
      for (const [i, path] of paths.entries())
        await writeFile(join(home, path), bytes.subarray(cut(i), cut(i + 1)));
      const file = { format, modelTopology, weightsManifest: [{ paths, weights: weightSpecs }] };
      await writeFile(join(home, 'model.json'), JSON.stringify(change(file as unknown as ModelFile)));
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } };
    }),
  );
  return join(home, 'model.json');
}

const activation = {
  linear: (z: number) => z,
  relu: (z: number) => Math.max(z, 0),
  tanh: Math.tanh,
  sigmoid: (z: number) => 1 / (1 + Math.exp(-z)),
  softplus: (z: number) => Math.log1p(Math.exp(z)),
};

/** ŷ of one row in float64, from the definition y = f(x·W + b). */
function forward({ network, parameters }: ImportedModel, row: readonly number[]): number[] {
  const { slices } = parameterLayout(network);
  let values = [...row];
  for (const [index, layer] of network.layers.entries()) {
    const kernel = slices.find(({ name }) => name === `layer${index}/kernel`)!;
    const bias = slices.find(({ name }) => name === `layer${index}/bias`);
    values = Array.from({ length: layer.units }, (_, unit) => {
      const z = values.reduce(
        (sum, x, i) => sum + x * parameters[kernel.offset + i * layer.units + unit]!,
        bias ? parameters[bias.offset + unit]! : 0,
      );
      return activation[layer.activation](z);
    });
  }
  return values;
}

const softmax = (logits: number[]) => {
  const powers = logits.map(Math.exp);
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
};

const rows = [
  [0.5, -1, 2, 0.25],
  [-0.75, 1.5, 0, 1],
  [0, 0, 0, 0],
];

async function expectSamePredictions(
  model: tf.LayersModel,
  imported: ImportedModel,
  output: (logits: number[]) => number[] = (logits) => logits,
): Promise<void> {
  const inputs = tf.tensor(rows).reshape([rows.length, ...model.inputs[0]!.shape.slice(1).map(Number)]);
  const predicted = (await (model.predict(inputs) as tf.Tensor).array()) as number[][];
  for (const [index, row] of rows.entries())
    for (const [unit, value] of output(forward(imported, row)).entries())
      // float32 against float64, three layers of values of order 1.
      expect(Math.abs(value - predicted[index]![unit]!)).toBeLessThan(2e-6);
}

const random = { kernelInitializer: 'glorotNormal', biasInitializer: 'randomNormal' } as const;

function classifier(): tf.Sequential {
  return tf.sequential({
    layers: [
      tf.layers.dense({ units: 5, inputShape: [4], activation: 'tanh', ...random }),
      tf.layers.dropout({ rate: 0.3 }),
      tf.layers.dense({ units: 4, activation: 'softplus', useBias: false, ...random }),
      tf.layers.dense({ units: 3, ...random }),
      tf.layers.activation({ activation: 'softmax' }),
    ],
  });
}

const importWith = async (
  loss: Loss,
  model: tf.LayersModel,
  ...rest: [number?, ((f: ModelFile) => ModelFile)?]
) => importTfjs(await save(model, ...rest), { loss });

/** A change to the saved file's plain JSON. */
const edit = (action: (file: ModelFile) => void) => (file: ModelFile) => {
  const copy = structuredClone(file);
  action(copy);
  return copy;
};

describe('importTfjs', () => {
  it('importTfjs: a classifier predicts as in tfjs, its final softmax left to the loss', async () => {
    const model = classifier();
    const imported = await importWith('softmaxCrossEntropy', model, 3);
    expect(imported.network).toEqual({
      input: { shape: [4] },
      layers: [
        { type: 'dense', units: 5, useBias: true, activation: 'tanh' },
        { type: 'dense', units: 4, useBias: false, activation: 'softplus' },
        { type: 'dense', units: 3, useBias: true, activation: 'linear' },
      ],
    });
    await expectSamePredictions(model, imported, softmax);
  });

  it.each(['relu', 'sigmoid', 'tanh', 'softplus', 'linear'] as const)(
    'importTfjs: %s, inside Dense and as a layer, predicts as in tfjs',
    async (name) => {
      const model = tf.sequential({
        layers: [
          tf.layers.inputLayer({ inputShape: [2, 2] }),
          tf.layers.flatten(),
          tf.layers.dense({ units: 6, activation: name, ...random }),
          tf.layers.dense({ units: 2, ...random }),
          tf.layers.activation({ activation: name }),
        ],
      });
      await expectSamePredictions(model, await importWith('squaredError', model));
    },
  );

  it('importTfjs: a final sigmoid is left to sigmoidCrossEntropy', async () => {
    const model = tf.sequential({
      layers: [tf.layers.dense({ units: 2, inputShape: [4], activation: 'sigmoid', ...random })],
    });
    const imported = await importWith('sigmoidCrossEntropy', model);
    expect(imported.network.layers[0]!.activation).toBe('linear');
    await expectSamePredictions(model, imported, (logits) => logits.map(activation.sigmoid));
  });

  it('importTfjs: weights are found by name, in any order, with Keras names and an optimizer beside them', async () => {
    const model = classifier();
    const path = await save(model);
    const plain = await importTfjs(path, { loss: 'softmaxCrossEntropy' });

    const file = JSON.parse(await readFile(path, 'utf8')) as ModelFile;
    const { weights, paths } = file.weightsManifest[0]!;
    const bytes = await readFile(join(path, '..', paths[0]!));
    let offset = 0;
    const parts = weights.map((weight) => {
      const size = 4 * weight.shape.reduce((product, length) => product * length, 1);
      offset += size;
      return {
        weight: { ...weight, name: `sequential/${weight.name}:0` },
        bytes: bytes.subarray(offset - size, offset),
      };
    });
    parts.push({ weight: { name: 'iterations', shape: [], dtype: 'int32' }, bytes: Buffer.alloc(4) });
    parts.reverse();
    file.weightsManifest = [{ paths, weights: parts.map(({ weight }) => weight) }];
    await writeFile(path, JSON.stringify(file));
    await writeFile(join(path, '..', paths[0]!), Buffer.concat(parts.map((part) => part.bytes)));

    expect(await importTfjs(path, { loss: 'softmaxCrossEntropy' })).toEqual(plain);
  });

  it('importTfjs: reads the topologies of Keras 2 and Keras 3', async () => {
    const model = classifier();
    const plain = await importWith('softmaxCrossEntropy', model);
    const wrapped = await importWith('softmaxCrossEntropy', model, 1, (file) => ({
      ...file,
      modelTopology: { model_config: file.modelTopology } as unknown as ModelFile['modelTopology'],
    }));
    const keras3 = await importWith(
      'softmaxCrossEntropy',
      model,
      1,
      edit(({ modelTopology: { config } }) => {
        const first = config.layers[0]!.config as { batch_input_shape?: unknown; name: string };
        const batch_shape = first.batch_input_shape;
        delete first.batch_input_shape;
        config.layers.unshift({ class_name: 'InputLayer', config: { name: 'input', batch_shape } });
      }),
    );
    // tfjs names layers anew for each model, so that only what was saved from this one compares.
    expect(wrapped).toEqual(plain);
    expect(keras3).toEqual(plain);
  });

  it('importTfjs: an unsupported layer or activation is named', async () => {
    const layers = [
      tf.layers.dense({ units: 3, inputShape: [4], name: 'ok' }),
      tf.layers.batchNormalization({ name: 'normalise' }),
    ];
    await expect(importWith('squaredError', tf.sequential({ layers }))).rejects.toThrow(
      new UnsupportedError('layer "normalise": BatchNormalization is not supported'),
    );
    const elu = tf.layers.dense({ units: 3, inputShape: [4], name: 'bent', activation: 'elu' });
    await expect(importWith('squaredError', tf.sequential({ layers: [elu] }))).rejects.toThrow(/"bent".*elu/);
    const inner = tf.layers.dense({ units: 3, inputShape: [4], name: 'inner', activation: 'softmax' });
    const two = tf.sequential({ layers: [inner, tf.layers.dense({ units: 3 })] });
    await expect(importWith('softmaxCrossEntropy', two)).rejects.toThrow(/"inner".*softmax/);
    const wide = tf.layers.dense({ units: 3, inputShape: [2, 2], name: 'wide' });
    await expect(importWith('squaredError', tf.sequential({ layers: [wide] }))).rejects.toThrow(
      /"wide".*\[2, 2\]/,
    );
    const input = tf.input({ shape: [4] });
    const graph = tf.model({
      inputs: input,
      outputs: tf.layers.dense({ units: 1 }).apply(input) as tf.SymbolicTensor,
    });
    await expect(importWith('squaredError', graph)).rejects.toBeInstanceOf(UnsupportedError);
  });

  it.each([
    ['softmax', 'squaredError'],
    ['softmax', 'sigmoidCrossEntropy'],
    ['sigmoid', 'softmaxCrossEntropy'],
  ] as const)('importTfjs: a final %s with %s is refused', async (name, loss) => {
    const model = tf.sequential({
      layers: [tf.layers.dense({ units: 2, inputShape: [4], activation: name })],
    });
    await expect(importWith(loss, model)).rejects.toBeInstanceOf(UnsupportedError);
  });

  it('importTfjs: truncated, missing and foreign weight files', async () => {
    const path = await save(classifier(), 2);
    const shard = join(path, '..', 'group1-shard2of2.bin');
    const bytes = await readFile(shard);
    await writeFile(shard, bytes.subarray(0, -1));
    await expect(importTfjs(path, { loss: 'softmaxCrossEntropy' })).rejects.toThrow(/239 bytes.*240/);
    await writeFile(shard, Buffer.concat([bytes, Buffer.alloc(4)]));
    await expect(importTfjs(path, { loss: 'softmaxCrossEntropy' })).rejects.toBeInstanceOf(BadFileError);
    await rm(shard);
    await expect(importTfjs(path, { loss: 'softmaxCrossEntropy' })).rejects.toBeInstanceOf(BadFileError);
  });

  it.each(['../../etc/passwd', '/etc/passwd', '..', 'folder/weights.bin', '..\\weights.bin', ''])(
    'importTfjs: weights at "%s" are not read',
    async (path) => {
      const change = edit((file) => (file.weightsManifest[0]!.paths = [path]));
      await expect(importWith('softmaxCrossEntropy', classifier(), 1, change)).rejects.toBeInstanceOf(
        ForbiddenError,
      );
    },
  );

  it('importTfjs: shapes that disagree, quantised weights, a missing weight', async () => {
    const load = (action: (weights: ModelFile['weightsManifest'][0]['weights']) => void) =>
      importWith(
        'softmaxCrossEntropy',
        classifier(),
        1,
        edit((file) => action(file.weightsManifest[0]!.weights)),
      );
    await expect(load((weights) => weights[0]!.shape.reverse())).rejects.toBeInstanceOf(ShapeMismatchError);
    await expect(
      load((weights) => Object.assign(weights[0]!, { quantization: { dtype: 'uint8', scale: 1, min: 0 } })),
    ).rejects.toThrow(/quantised/);
    await expect(load((weights) => (weights[0]!.dtype = 'complex64'))).rejects.toBeInstanceOf(
      UnsupportedError,
    );
    await expect(load((weights) => (weights[0]!.name = 'other'))).rejects.toThrow(/no float32 weight/);
    await expect(load((weights) => (weights[1]!.name = weights[0]!.name))).rejects.toThrow(
      /two weights named/,
    );
  });

  it('importTfjs: layers that claim more than their weights hold are refused before memory is taken', async () => {
    const change = edit(({ modelTopology: { config } }) => {
      for (const { config: layer } of config.layers) if ('units' in layer) layer.units = 2 ** 24;
    });
    await expect(importWith('softmaxCrossEntropy', classifier(), 1, change)).rejects.toBeInstanceOf(
      ShapeMismatchError,
    );
  });

  it('importTfjs: a NaN weight is named with its position', async () => {
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [4], name: 'broken' })] });
    model.layers[0]!.setWeights([tf.tensor([1, 2, NaN, 4], [4, 1]), tf.tensor([0])]);
    await expect(importWith('squaredError', model)).rejects.toThrow(
      new NotFiniteError('weight "broken/kernel" is NaN at position 2'),
    );
  });

  it('importTfjs: a file that is no model.json', async () => {
    const path = join(folder, 'wrong.json');
    for (const text of ['', 'null', '{}', '[1]', '{"modelTopology":{},"weightsManifest":[]}']) {
      await writeFile(path, text);
      await expect(importTfjs(path, { loss: 'squaredError' })).rejects.toBeInstanceOf(BadFileError);
    }
    await writeFile(path, '{"format":"graph-model","modelTopology":{"node":[]},"weightsManifest":[]}');
    await expect(importTfjs(path, { loss: 'squaredError' })).rejects.toThrow(/graph model/);
    await expect(importTfjs(join(folder, 'absent.json'), { loss: 'squaredError' })).rejects.toBeInstanceOf(
      BadFileError,
    );
  });
});
