import { describe, expect, it } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { UnsupportedError } from '../../../protocol/errors.js';
import { setTensorflowDefaults } from '../../../worker/engines/tensorflow/environment.js';
import { loadTensorflow } from '../../../worker/engines/tensorflow/load.js';
import { engines } from '../../support/engines.js';

const built = engines.includes('tensorflow');
const whenBuilt = built ? it : it.skip;
const unlessBuilt = built ? it.skip : it;

describe('setTensorflowDefaults', () => {
  it('turns TF32 off and lets GPU memory grow, unless the user has set them', () => {
    const environment: NodeJS.ProcessEnv = { NVIDIA_TF32_OVERRIDE: '1', TF_NUM_INTRAOP_THREADS: '4' };
    setTensorflowDefaults('auto', {}, environment);
    expect(environment).toMatchObject({
      NVIDIA_TF32_OVERRIDE: '1',
      TF_NUM_INTRAOP_THREADS: '4',
      TF_NUM_INTEROP_THREADS: '1',
      TF_FORCE_GPU_ALLOW_GROWTH: 'true',
    });
  });

  it.each([
    ['tensorflow-gpu', {}, {}, { CUDA_VISIBLE_DEVICES: '0', NVIDIA_TF32_OVERRIDE: '0' }],
    ['tensorflow-gpu', { gpu: 2, tf32: true }, {}, { CUDA_VISIBLE_DEVICES: '2' }],
    ['auto', {}, { CUDA_VISIBLE_DEVICES: '1' }, { CUDA_VISIBLE_DEVICES: '1', NVIDIA_TF32_OVERRIDE: '0' }],
    ['tensorflow', {}, { CUDA_VISIBLE_DEVICES: '1' }, { CUDA_VISIBLE_DEVICES: '-1' }],
  ])('%s %p with %p: at most one GPU', (engine, options, environment: NodeJS.ProcessEnv, expected) => {
    setTensorflowDefaults(engine, options, environment);
    expect(environment).toMatchObject(expected);
    if ('tf32' in options) expect(environment).not.toHaveProperty('NVIDIA_TF32_OVERRIDE');
  });
});

describe('loadTensorflow', () => {
  unlessBuilt('throws UnsupportedError with the command that builds it', () => {
    expect(loadTensorflow).toThrow(UnsupportedError);
    expect(loadTensorflow).toThrow(expect.objectContaining({ hint: 'npm run engine:tensorflow' }));
  });

  whenBuilt('refuses the GPU readably where there is none, or no CUDA', () => {
    const message: unknown = expect.stringMatching(/^tensorflow-gpu: (no GPU found|.*without CUDA)/);
    expect(() => loadTensorflow('gpu')).toThrow(
      expect.objectContaining({ name: 'UnsupportedError', message }),
    );
  });

  whenBuilt('registers the backend in the @tensorflow/tfjs of this thread, once', () => {
    const first = loadTensorflow();
    const backend: unknown = tf.findBackend('tensorflow');
    expect(first.tf).toBe(tf);
    expect(backend).not.toBeNull();
    loadTensorflow();
    expect(tf.findBackend('tensorflow')).toBe(backend);
  });
});
