import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A tfjs layers model, written as tfjs would: 3 → 2 tanh → 1, with these weights in the order of its layers. */
export async function writeTfjsModel(folder: string, weights: Float32Array): Promise<string> {
  const dense = (name: string, units: number, activation: string, more = {}) => ({
    class_name: 'Dense',
    config: { name, units, activation, use_bias: true, trainable: true, dtype: 'float32', ...more },
  });
  const layers = [dense('hidden', 2, 'tanh', { batch_input_shape: [null, 3] }), dense('out', 1, 'linear')];
  const spec = (name: string, shape: number[]) => ({ name, shape, dtype: 'float32' });
  const file = {
    format: 'layers-model',
    modelTopology: { class_name: 'Sequential', config: { name: 'sequential', layers } },
    weightsManifest: [
      {
        paths: ['weights.bin'],
        weights: [
          spec('hidden/kernel', [3, 2]),
          spec('hidden/bias', [2]),
          spec('out/kernel', [2, 1]),
          spec('out/bias', [1]),
        ],
      },
    ],
  };
  await writeFile(join(folder, 'weights.bin'), Buffer.from(weights.buffer));
  await writeFile(join(folder, 'model.json'), JSON.stringify(file));
  return join(folder, 'model.json');
}
