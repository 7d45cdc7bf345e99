import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from '@jest/globals';
import { NotFiniteError, ShapeMismatchError, UnsupportedError } from '../../../protocol/errors.js';
import { pluginLayout } from '../../../protocol/plugin-model.js';
import type { Batch } from '../../../worker/curvature/batch.js';
import { openEagerEngine } from '../../../worker/engines/select.js';
import { bindObjective, evaluate, linearize } from '../../../worker/plugins/linearization.js';
import { findObjective, type Loss } from '../../../worker/plugins/objective.js';

const layout = pluginLayout({ name: 'refused', parameters: [{ name: 'w', shape: [3] }] });
const batch: Batch = {
  rows: 2,
  features: Float32Array.of(1, 2, 3, 4, 5, 6),
  labels: Int32Array.of(0, 1),
};

async function attempt(engineName: string, loss: Loss, parameters = [1, 2, 3]) {
  const { engine } = await openEagerEngine(engineName);
  const before = engine.memory();
  const bound = bindObjective(
    engine,
    { parameters: { w: [3] }, loss },
    layout,
    [3],
    Float32Array.from(parameters),
  );
  try {
    await evaluate(engine, bound, batch);
    linearize(engine, bound, batch).tape.dispose();
  } finally {
    engine.dispose(bound.held);
    expect(engine.memory()).toEqual(before);
    expect(Object.keys(tf.engine())).not.toContain('runKernel');
  }
}

describe.each(['cpu', 'wasm'])('what a loss may not do, on %s', (engine) => {
  const unverified: [string, Loss][] = [
    ['Cumprod', (t, { w }, x) => t.sum(t.mul(x, t.cumprod(w!)), 1)],
    ['Prod', (t, { w }, x) => t.mul(t.sum(x, 1), t.prod(w!))],
    ['Atan2', (t, { w }, x) => t.sum(t.atan2(x, w!), 1)],
    ['TopK', (t, { w }, x) => t.mul(t.sum(x, 1), t.sum(t.topk(w!, 2).values))],
    ['MirrorPad', (t, { w }, x) => t.mul(t.sum(x, 1), t.sum(t.mirrorPad(w!, [[1, 1]], 'reflect')))],
  ];
  it.each(unverified)('%s of parameters: refused by name, and nothing left behind', async (kernel, loss) => {
    const failure = await attempt(engine, loss).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UnsupportedError);
    expect(failure).toMatchObject({ details: { kernel } });
    expect((failure as Error).message).toContain(kernel);
  });

  it('any kernel of data alone is allowed', async () => {
    await attempt(engine, (t, { w }, x) => t.mul(t.prod(x, 1), t.sum(t.exp(w!))));
  });

  const refused: [string, Loss, new (message: string) => Error][] = [
    ['reading a value', (t, { w }, x) => t.sum(t.mul(x, t.exp(w!).dataSync()[0]!), 1), UnsupportedError],
    [
      'a branch on a value',
      (t, { w }, x) => ((t.sum(w!).arraySync() as number) > 0 ? t.sum(t.mul(x, w!), 1) : t.sum(x, 1)),
      UnsupportedError,
    ],
    [
      'a gradient by hand',
      (t, { w }, x) =>
        t.sum(t.mul(x, t.customGrad((v) => ({ value: t.exp(v as tf.Tensor), gradFunc: (dy) => dy }))(w!)), 1),
      UnsupportedError,
    ],
    ['a loss without parameters', (t, _, x) => t.sum(x, 1), UnsupportedError],
    ['a loss through rounding only', (t, { w }, x) => t.sum(t.mul(x, t.round(w!)), 1), UnsupportedError],
    ['one loss for all rows', (t, { w }, x) => t.sum(t.mul(x, w!)), ShapeMismatchError],
    ['a mean', (t, { w }, x) => t.losses.meanSquaredError(x, t.mul(t.onesLike(x), w!)), ShapeMismatchError],
    [
      'an asynchronous loss',
      (async (t: typeof tf, { w }: Record<string, tf.Tensor>, x: tf.Tensor) =>
        Promise.resolve(t.sum(t.mul(x, w!), 1))) as unknown as Loss,
      ShapeMismatchError,
    ],
  ];
  it.each(refused)('%s: refused', async (_, loss, kind) => {
    await expect(attempt(engine, loss)).rejects.toBeInstanceOf(kind);
  });

  it('a variable made of a parameter: refused', async () => {
    let variable: tf.Variable | undefined;
    const loss: Loss = (t, { w }, x) => {
      variable = t.variable(w!);
      try {
        return t.sum(t.mul(x, variable), 1);
      } finally {
        variable.dispose();
      }
    };
    await expect(attempt(engine, loss)).rejects.toBeInstanceOf(UnsupportedError);
  });

  it('a root at zero: not finite', async () => {
    const loss: Loss = (t, { w }, x) => t.sum(t.mul(x, t.sqrt(w!)), 1);
    await expect(attempt(engine, loss, [0, 1, 1])).rejects.toBeInstanceOf(NotFiniteError);
  });
});

describe('findObjective', () => {
  const objectives = new Map([['mine', { parameters: { w: [3] }, loss: () => tf.scalar(0) }]]);
  it('an unknown name: an error that lists those there are', () => {
    expect(() => findObjective(objectives, { name: 'yours', parameters: [] })).toThrow(UnsupportedError);
    try {
      findObjective(objectives, { name: 'yours', parameters: [] });
    } catch (error) {
      expect(error).toMatchObject({ hint: 'it has: mine', details: { known: ['mine'] } });
    }
  });
  it('other shapes than the model has: an error', () => {
    expect(() =>
      findObjective(objectives, { name: 'mine', parameters: [{ name: 'w', shape: [4] }] }),
    ).toThrow(ShapeMismatchError);
  });
});
