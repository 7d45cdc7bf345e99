import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from '@jest/globals';
import { SelfCheckError } from '../../../protocol/errors.js';
import { pluginLayout } from '../../../protocol/plugin-model.js';
import { generator } from '../../../protocol/random.js';
import { openEagerEngine } from '../../../worker/engines/select.js';
import type { Loss } from '../../../worker/plugins/objective.js';
import { selfCheckObjective } from '../../../worker/plugins/self-check.js';

const shapes = { hidden: [6, 12], out: [12, 3] };
const layout = pluginLayout({
  name: 'checked',
  parameters: Object.entries(shapes).map(([name, shape]) => ({ name, shape })),
});

async function check(engineName: string, loss: Loss, scale = 0.5) {
  const { engine } = await openEagerEngine(engineName);
  const random = generator(5);
  const uniform = () => random.next() / 2 ** 31;
  const batch = {
    rows: 8,
    features: Float32Array.from({ length: 48 }, uniform),
    labels: Int32Array.from({ length: 8 }, (_, row) => row % 3),
  };
  const parameters = Float32Array.from({ length: layout.count }, () => scale * uniform());
  const before = engine.memory();
  try {
    return await selfCheckObjective(engine, { parameters: shapes, loss }, layout, [6], parameters, batch);
  } finally {
    expect(engine.memory()).toEqual(before);
  }
}

type Activation = (t: typeof tf | object, x: tf.Tensor) => tf.Tensor;
const network =
  (activation: Activation): Loss =>
  (t, { hidden, out }, x, labels) =>
    t.losses.softmaxCrossEntropy(
      t.oneHot(labels, 3),
      t.matMul(activation(t, t.matMul(x, hidden!)), out!),
      undefined,
      0,
      t.Reduction.NONE,
    );

/** A factor taken from the values behind the tape's back: right in the loss, absent from every derivative. */
const smuggled = (x: tf.Tensor) => tf.tensor(tf.backend().readSync(x.dataId), x.shape);

describe.each(['cpu', 'wasm'])('selfCheckObjective on %s', (engine) => {
  it.each([
    ['tanh', (_: object, x: tf.Tensor) => tf.tanh(x)],
    ['relu', (_: object, x: tf.Tensor) => tf.relu(x)],
    ['max', (_: object, x: tf.Tensor) => tf.maximum(x, tf.mul(x, 0.1))],
  ] as [string, Activation][])(
    'passes %s, also at zero, and leaves nothing behind',
    async (_, activation) => {
      const figures = await check(engine, network(activation));
      expect(figures.rows).toBe(4);
      expect(figures.differences).toBeLessThan(1e-2 + 3 * figures.doubt);
      expect(figures.symmetry).toBeLessThan(1e-4);
      if (activation.toString().includes('tanh')) await check(engine, network(activation), 0);
    },
  );

  it.each([
    ['a product that lacks a term', (x: tf.Tensor) => tf.mul(tf.tanh(x), smuggled(tf.square(x)))],
    ['a gradient that lacks a term', (x: tf.Tensor) => tf.add(tf.mul(x, 1e-6), smuggled(tf.tanh(x)))],
  ] as const)('%s: caught', async (_, activation) => {
    await expect(
      check(
        engine,
        network((_t, x) => activation(x)),
      ),
    ).rejects.toBeInstanceOf(SelfCheckError);
  });

  it('a loss that mixes rows: caught', async () => {
    const mixing: Loss = (t, { hidden, out }, x) => {
      const z = t.matMul(t.tanh(t.matMul(x, hidden!)), out!);
      return t.sum(t.square(t.sub(z, t.mean(z, 0, true))), 1);
    };
    await expect(check(engine, mixing)).rejects.toBeInstanceOf(SelfCheckError);
  });

  it('a random loss: caught', async () => {
    const dropout = network((_, x) => tf.dropout(tf.tanh(x), 0.5));
    await expect(check(engine, dropout)).rejects.toBeInstanceOf(SelfCheckError);
  });
});
