import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import protobuf from 'protobufjs';
import { evaluate, linearize, prepareTangent, product } from '../../../worker/curvature/linearization.js';
import { runLissa } from '../../../worker/curvature/lissa-step.js';
import { bindNetwork } from '../../../worker/curvature/network.js';
import { openEngine, type EngineTensor } from '../../../worker/engines/select.js';
import { onnxProto } from '../../../worker/engines/onnx/proto.js';
import { absent } from '../../support/engines.js';
import { layerProblem, layerTitles } from '../curvature/layer-cases.js';
import { networkProblem } from '../curvature/problem.js';

const reason = absent.get('onnx');
const python = spawnSync('python3', ['-c', 'import onnx'], { encoding: 'utf8' });

const dense = { type: 'dense', units: 3 } as const;
/** Between them, every operator that the engine writes but Erf. */
const problems = [
  networkProblem(
    {
      input: { shape: [5, 5, 2] },
      layers: [
        { type: 'conv2d', filters: 3, kernelSize: [2, 2], padding: 'same', activation: 'softplus' },
        { type: 'layerNormalization' },
        { type: 'conv2d', filters: 2, kernelSize: [2, 2] },
        { type: 'maxPooling2d', poolSize: [2, 2] },
        { type: 'flatten' },
        { ...dense, activation: 'tanh' },
        dense,
      ],
      loss: 'softmaxCrossEntropy',
    },
    6,
    1,
  ),
  networkProblem(
    {
      input: { shape: [2] },
      layers: [{ type: 'embedding', vocabulary: 4, units: 3 }, { type: 'flatten' }, dense],
      loss: 'sigmoidCrossEntropy',
    },
    6,
    2,
    { feature: (value) => Math.floor(2 * (value + 1)) },
  ),
];

(reason ? describe.skip : describe)(`graphs of onnx${reason ? ` (does not start: ${reason})` : ''}`, () => {
  let folder: string;
  const files = () => readdir(folder);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ihvp-graphs-'));
    const { engine } = await openEngine('onnx', { dumpGraphs: folder });
    const recorded: number[] = [];
    // The second time at other parameters, rows and vectors: no graph is new.
    for (const round of [1, 2])
      for (const { network, parameters, batch, uniform } of problems) {
        const bound = bindNetwork(
          engine,
          network,
          parameters.map((value) => value / round),
        );
        const { features, labels } = batch;
        const rows = { ...batch, features: features.map((value) => Math.floor(value / round)), labels };
        await evaluate(engine, bound, rows);
        const linearization = linearize(engine, bound, rows);
        const vectors = uniform(2 * parameters.length);
        const tangent = prepareTangent(engine, bound, vectors, 2);
        await product(engine, linearization, tangent);
        const minibatches = [Int32Array.of(3, 0), Int32Array.of(5, round)].map((indices) => ({
          indices,
          weight: 1 / round,
        }));
        const options = { shrink: 1 - 0.1 / round, scale: 10 * round, rowWeight: 1 };
        await runLissa(engine, linearization, vectors, vectors, 2, minibatches, options);
        engine.dispose([...bound.held, ...linearization.held, ...tangent.held]);
        recorded.push((await files()).length);
      }
    expect(recorded[1]).toBeGreaterThan(recorded[0]!);
    expect(recorded.slice(2)).toEqual([recorded[1], recorded[1]]);
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('--dump-graph: files that say opset 21 and IR version 10, values outside the graph as inputs', async () => {
    const type = protobuf.parse(onnxProto).root.lookupType('onnx.ModelProto');
    const operators = new Set<string>();
    for (const file of await files()) {
      const model = type.toObject(type.decode(await readFile(join(folder, file))), { longs: Number }) as {
        irVersion: number;
        opsetImport: object[];
        graph: { node: { opType: string }[]; initializer?: { dims?: number[] }[] };
      };
      expect([model.irVersion, model.opsetImport]).toEqual([10, [{ domain: '', version: 21 }]]);
      for (const { opType } of model.graph.node) operators.add(opType);
      // Scalars, axes and shapes alone are constants: no more than the rank of a tensor.
      for (const { dims } of model.graph.initializer ?? []) expect(dims?.[0] ?? 1).toBeLessThanOrEqual(5);
    }
    expect([...operators]).toEqual(
      expect.arrayContaining(['Gemm', 'MatMul', 'ConvTranspose', 'Gather', 'ScatterND']),
    );
  });

  (python.status === 0 ? it : it.skip)(
    `pass the ONNX checker${python.status === 0 ? '' : ' (python3 has no package onnx)'}`,
    async () => {
      const check = 'import sys, onnx\nfor f in sys.argv[1:]: onnx.checker.check_model(f, full_check=True)';
      const paths = (await files()).map((file) => join(folder, file));
      const { status, stderr } = spawnSync('python3', ['-c', check, ...paths], { encoding: 'utf8' });
      expect([status, stderr]).toEqual([0, '']);
    },
  );

  it.each(layerTitles)(
    'repeat: %s: a product by the graph of an earlier one is that of a graph of its own, bit for bit',
    async (title) => {
      const { engine } = await openEngine('onnx');
      const { network, parameters, batch, uniform } = layerProblem(title);
      const bound = bindNetwork(engine, network, parameters);
      const linearization = linearize(engine, bound, batch);
      const before = engine.memory();
      const productOf = async (vectors: Float32Array, at = linearization) => {
        const tangent = prepareTangent(engine, bound, vectors, vectors.length / parameters.length);
        const values = await product(engine, at, tangent);
        engine.dispose(tangent.held);
        return values;
      };
      const vectors = [1, 3, 1, 3, 1].map((count) => uniform(count * parameters.length));
      const found: Float32Array[] = [];
      for (const block of vectors) found.push(await productOf(block));
      expect(engine.memory()).toEqual(before);
      for (const [i, block] of vectors.entries()) {
        const own = linearize(engine, bound, batch);
        expect(await productOf(block, own)).toEqual(found[i]);
        engine.dispose(own.held);
      }
      expect(found[2]).not.toEqual(found[0]);
      engine.dispose([...linearization.held, ...bound.held]);
      expect(engine.memory()).toEqual({ tensors: 0, bytes: 0 });
    },
  );

  it('repeat: does the work again where the graph was given up, or other tensors share their values', async () => {
    const { engine } = await openEngine('onnx');
    const key = {};
    let worked = 0;
    const vector = (...values: number[]) => engine.upload(Float32Array.from(values), [values.length]);
    const sum = async (a: EngineTensor, b: EngineTensor) => {
      const made = engine.repeat!(key, [a, b], () => {
        worked += 1;
        return engine.add(engine.scale(a, 10), b);
      });
      const values = Array.from(await engine.download(made));
      engine.dispose([made]);
      return values;
    };
    const [a, b, c] = [vector(1, 2), vector(3, 4), vector(5, 6, 7)];
    expect([await sum(a, b), await sum(b, a), worked]).toEqual([[13, 24], [31, 42], 1]);
    expect([await sum(a, a), await sum(b, b), worked]).toEqual([[11, 22], [33, 44], 2]);
    expect([await sum(c, c), await sum(a, b), worked]).toEqual([[55, 66, 77], [13, 24], 3]);
    for (let length = 1; length <= 70; length++) {
      const ones = engine.upload(new Float32Array(length).fill(1), [length]);
      const twos = engine.add(ones, ones);
      await engine.download(twos);
      engine.dispose([ones, twos]);
    }
    expect([await sum(a, b), await sum(b, a), worked]).toEqual([[13, 24], [31, 42], 4]);
    engine.dispose([a, b, c]);
    expect(engine.memory()).toEqual({ tensors: 0, bytes: 0 });
  });

  it('sessions: more graphs than are kept, and the first one again', async () => {
    const { engine } = await openEngine('onnx');
    for (const length of [...Array.from({ length: 70 }, (_, i) => i + 1), 1, 2]) {
      const a = engine.upload(new Float32Array(length).fill(3), [length]);
      const b = engine.mul(a, a);
      expect(Array.from(await engine.download(b))).toEqual(Array<number>(length).fill(9));
      engine.dispose([a, b]);
    }
    expect(engine.memory()).toEqual({ tensors: 0, bytes: 0 });
  });
});
