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
import type { Loss } from '../../../protocol/model.js';
import { importTfjs } from '../../../worker/models/import-tfjs.js';
import type { ImportedModel } from '../../../worker/models/import-tfjs.js';
import { halfToNumber } from '../../../worker/models/quantised.js';
import { referenceOutputs } from '../../support/reference.js';

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

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));

/** ŷ of one row in float64, layer by layer from the definitions. */
const forward = ({ network, parameters }: ImportedModel, row: readonly number[]) =>
  referenceOutputs(network, parameters, row);

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
  // float32 against float64, three layers of values of order 1.
  within = 2e-6,
  features?: number[][],
): Promise<void> {
  const shape = model.inputs[0]!.shape.slice(1).map(Number);
  const width = shape.reduce((product, length) => product * length, 1);
  const used =
    features ??
    [0, 1, 2].map((row) => Array.from({ length: width }, (_, i) => rows[row]![i % 4]! + (i % 7) / 8));
  const inputs = tf.tensor(used).reshape([used.length, ...shape]);
  const predicted = (await (model.predict(inputs) as tf.Tensor).array()) as number[][];
  for (const [index, row] of used.entries())
    for (const [unit, value] of output(forward(imported, row)).entries())
      expect(Math.abs(value - predicted[index]![unit]!)).toBeLessThan(within);
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
    const names = model.layers.filter((layer) => layer.getClassName() === 'Dense').map(({ name }) => name);
    expect(imported.network).toEqual({
      input: { shape: [4] },
      layers: [
        { type: 'dense', name: names[0], units: 5, useBias: true, activation: 'tanh' },
        { type: 'dense', name: names[1], units: 4, useBias: false, activation: 'softplus' },
        { type: 'dense', name: names[2], units: 3, useBias: true, activation: 'linear' },
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
    expect(imported.network.layers[0]).toMatchObject({ activation: 'linear' });
    await expectSamePredictions(model, imported, (logits) => logits.map(sigmoid));
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

  it('importTfjs: a CNN with every kind of layer predicts as in tfjs', async () => {
    const wide = { ...random, padding: 'same', activation: 'relu' } as const;
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [9, 8, 2], filters: 3, kernelSize: 3, ...random, activation: 'elu' }),
        tf.layers.batchNormalization({
          gammaInitializer: 'randomNormal',
          betaInitializer: 'randomNormal',
          movingMeanInitializer: 'randomNormal',
          movingVarianceInitializer: tf.initializers.randomUniform({ minval: 0.1, maxval: 1 }) as never,
          epsilon: 0.5,
        }),
        tf.layers.leakyReLU({ alpha: 0.1 }),
        tf.layers.maxPooling2d({ poolSize: 2, strides: 1, padding: 'same' }),
        tf.layers.depthwiseConv2d({
          kernelSize: 3,
          depthMultiplier: 2,
          ...wide,
          depthwiseInitializer: 'randomNormal',
        }),
        tf.layers.separableConv2d({
          filters: 4,
          kernelSize: [2, 3],
          strides: [2, 2],
          padding: 'same',
          biasInitializer: 'randomNormal',
          activation: 'selu',
        }),
        tf.layers.upSampling2d({ size: [2, 1] }),
        tf.layers.zeroPadding2d({
          padding: [
            [1, 0],
            [2, 1],
          ],
        }),
        tf.layers.averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' }),
        tf.layers.reshape({ targetShape: [-1, 4] }),
        tf.layers.conv1d({ filters: 5, kernelSize: 2, dilationRate: 2, ...random, activation: 'swish' }),
        tf.layers.layerNormalization({ gammaInitializer: 'randomNormal', betaInitializer: 'randomNormal' }),
        tf.layers.maxPooling1d({ poolSize: 2 }),
        tf.layers.spatialDropout1d({ rate: 0.2 }),
        tf.layers.dense({ units: 4, ...random, activation: 'sigmoid' }),
        tf.layers.globalAveragePooling1d(),
        tf.layers.dense({ units: 3, ...random }),
        tf.layers.softmax({}),
      ],
    });
    await expectSamePredictions(model, await importWith('softmaxCrossEntropy', model), softmax, 1e-5);
  });

  /** A residual network whose layers tfjs lists in another order than that of computation. */
  function residual(): tf.LayersModel {
    const input = tf.input({ shape: [4, 4, 2] });
    const same = { kernelSize: 3, filters: 3, padding: 'same', ...random } as const;
    const of = (layer: tf.layers.Layer, from: tf.SymbolicTensor | tf.SymbolicTensor[]) =>
      layer.apply(from) as tf.SymbolicTensor;
    const stem = of(tf.layers.conv2d({ ...same, activation: 'tanh' }), input);
    const shortcut = of(tf.layers.conv2d({ ...same, kernelSize: 1 }), input);
    const deep = of(tf.layers.conv2d(same), of(tf.layers.batchNormalization({}), stem));
    const sum = of(tf.layers.add(), [deep, shortcut, stem]);
    const gate = of(tf.layers.multiply(), [sum, stem, shortcut]);
    const both = of(tf.layers.concatenate({ axis: 3 }), [gate, of(tf.layers.reLU(), sum)]);
    const pooled = of(tf.layers.globalMaxPooling2d({}), of(tf.layers.dropout({ rate: 0.5 }), both));
    return tf.model({ inputs: input, outputs: of(tf.layers.dense({ units: 2, ...random }), pooled) });
  }

  it('importTfjs: a functional residual model predicts as in tfjs, also as Keras 3 writes its graph', async () => {
    const model = residual();
    const path = await save(model);
    const imported = await importTfjs(path, { loss: 'squaredError' });
    await expectSamePredictions(model, imported, undefined, 1e-5);
    const file = JSON.parse(await readFile(path, 'utf8')) as ModelFile;
    const keras3 = (node: unknown[]) => {
      const tensors = node.map((tensor) => {
        const [name] = tensor as [string];
        return { class_name: '__keras_tensor__', config: { shape: [null], keras_history: [name, 0, 0] } };
      });
      return { args: tensors.length > 1 ? [tensors] : tensors, kwargs: {} };
    };
    for (const layer of file.modelTopology.config.layers as { inbound_nodes?: unknown[][] }[])
      if (layer.inbound_nodes) Object.assign(layer, { inbound_nodes: layer.inbound_nodes.map(keras3) });
    const config = file.modelTopology.config as { input_layers?: unknown[]; output_layers?: unknown[] };
    for (const key of ['input_layers', 'output_layers'] as const) config[key] = config[key]![0] as unknown[];
    file.modelTopology.class_name = 'Functional';
    (file.modelTopology.config.layers as unknown[]).reverse();
    await writeFile(path, JSON.stringify(file));
    const again = await importTfjs(path, { loss: 'squaredError' });
    await expectSamePredictions(model, again, undefined, 1e-5);
  });

  it('importTfjs: an embedding of ids predicts as in tfjs', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.embedding({
          inputDim: 6,
          outputDim: 3,
          inputLength: 4,
          embeddingsInitializer: 'randomNormal',
        }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 2, ...random }),
      ],
    });
    const ids = [
      [0, 5, 2, 2],
      [1, 3, 4, 0],
    ];
    await expectSamePredictions(model, await importWith('squaredError', model), undefined, 2e-6, ids);
  });

  it.each(['float16', 'uint8', 'uint16'] as const)(
    'importTfjs: %s weights are taken with a note',
    async (dtype) => {
      const model = tf.sequential({
        layers: [tf.layers.dense({ units: 1, useBias: false, inputShape: [2] })],
      });
      const path = await save(model);
      const file = JSON.parse(await readFile(path, 'utf8')) as ModelFile;
      const [group] = file.weightsManifest;
      Object.assign(group!.weights[0]!, {
        quantization: { dtype, original_dtype: 'float32', scale: 0.5, min: -1 },
      });
      await writeFile(path, JSON.stringify(file));
      const bytes = dtype === 'uint8' ? Uint8Array.of(3, 200) : Uint16Array.of(0x3e00, 0xc500);
      await writeFile(join(path, '..', group!.paths[0]!), Buffer.from(bytes.buffer));
      const { parameters, notes } = await importTfjs(path, { loss: 'squaredError' });
      const expected = {
        float16: [1.5, -5],
        uint8: [0.5, 99],
        uint16: [0x3e00 / 2 - 1, 0xc500 / 2 - 1],
      }[dtype];
      expect(Array.from(parameters)).toEqual(expected);
      expect(notes).toEqual([expect.stringMatching(`1 weights were stored as ${dtype}`)]);
    },
  );

  it('halfToNumber: the values of IEEE 754', () => {
    // numpy.array([…], numpy.uint16).view(numpy.float16)
    const values = [0x0000, 0x8001, 0x03ff, 0x0400, 0x3555, 0x7bff, 0xfc00, 0x7e00].map(halfToNumber);
    expect(values).toEqual([
      0,
      -(2 ** -24),
      1023 * 2 ** -24,
      2 ** -14,
      0.333251953125,
      65504,
      -Infinity,
      NaN,
    ]);
  });

  it('importTfjs: an unsupported layer or activation is named', async () => {
    const layers = [
      tf.layers.dense({ units: 3, inputShape: [4], name: 'ok' }),
      tf.layers.repeatVector({ n: 2, name: 'again' }),
      tf.layers.lstm({ units: 2, name: 'memory' }),
    ];
    const refused = importWith('squaredError', tf.sequential({ layers }));
    await expect(refused).rejects.toThrow(
      new UnsupportedError('layer "again": RepeatVector is not supported'),
    );
    await expect(refused).rejects.toMatchObject({ hint: expect.stringMatching(/Dense.*Conv2D.*Add/) });
    const softsign = tf.layers.dense({ units: 3, inputShape: [4], name: 'bent', activation: 'softsign' });
    await expect(importWith('squaredError', tf.sequential({ layers: [softsign] }))).rejects.toThrow(
      /"bent".*softsign/,
    );
    const inner = tf.layers.dense({ units: 3, inputShape: [4], name: 'inner', activation: 'softmax' });
    const two = tf.sequential({ layers: [inner, tf.layers.dense({ units: 3 })] });
    await expect(importWith('softmaxCrossEntropy', two)).rejects.toThrow(/"inner".*softmax/);
    const nested = tf.sequential({
      layers: [tf.sequential({ layers: [tf.layers.dense({ units: 3, inputShape: [4] })] })],
    });
    await expect(importWith('squaredError', nested)).rejects.toThrow(/Sequential is not supported/);
    const spatial = tf.sequential({
      layers: [
        tf.layers.batchNormalization({ axis: 1, inputShape: [2, 2], name: 'rows' }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 1 }),
      ],
    });
    await expect(importWith('squaredError', spatial)).rejects.toThrow(/"rows".*axis 1/);
    const input = tf.input({ shape: [4] });
    const outputs = [1, 2].map((units) => tf.layers.dense({ units }).apply(input) as tf.SymbolicTensor);
    await expect(importWith('squaredError', tf.model({ inputs: input, outputs }))).rejects.toThrow(
      /2 outputs/,
    );
    const shared = tf.layers.dense({ units: 4, name: 'shared' });
    const twice = shared.apply(shared.apply(input)) as tf.SymbolicTensor;
    await expect(importWith('squaredError', tf.model({ inputs: input, outputs: twice }))).rejects.toThrow(
      /"shared" is used 2 times/,
    );
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
      load((weights) => Object.assign(weights[0]!, { dtype: 'int32', quantization: { dtype: 'uint8' } })),
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
      for (const { config: layer } of config.layers) if ('units' in layer) layer.units = 2 ** 14;
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
