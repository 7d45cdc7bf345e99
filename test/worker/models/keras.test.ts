import { readFileSync } from 'node:fs';
import { expect, it } from '@jest/globals';
import { importTfjs } from '../../../worker/models/import-tfjs.js';
import { referenceOutputs } from '../../support/reference.js';

/** What Keras predicts of the models that its converter wrote beside: see test/fixtures/keras_models.py. */
interface Predictions {
  version: string;
  x: number[][];
  y: number[][];
}
const home = 'test/fixtures/keras';
const predictions = JSON.parse(readFileSync(`${home}/predictions.json`, 'utf8')) as Record<
  string,
  Predictions
>;

const softmax = (logits: number[]) => {
  const powers = logits.map(Math.exp);
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
};

it.each(Object.entries(predictions).map(([name, expected]) => [name, expected.version, expected] as const))(
  'importTfjs: %s of Keras %s, as its converter writes it, predicts as in Keras',
  async (name, _version, { x, y }) => {
    // The Sequential models end in a softmax, which is left to the loss.
    const classifies = name.includes('sequential');
    const { network, parameters } = await importTfjs(`${home}/${name}/model.json`, {
      loss: classifies ? 'softmaxCrossEntropy' : 'squaredError',
    });
    for (const [row, features] of x.entries()) {
      const outputs = referenceOutputs(network, parameters, Float32Array.from(features));
      for (const [unit, value] of (classifies ? softmax(outputs) : outputs).entries())
        // Keras computes in float32, values of order 1.
        expect(Math.abs(value - y[row]![unit]!)).toBeLessThan(1e-6);
    }
  },
);
