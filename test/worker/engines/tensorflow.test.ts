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
    setTensorflowDefaults(environment);
    expect(environment).toMatchObject({
      NVIDIA_TF32_OVERRIDE: '1',
      TF_NUM_INTRAOP_THREADS: '4',
      TF_NUM_INTEROP_THREADS: '1',
      TF_FORCE_GPU_ALLOW_GROWTH: 'true',
    });
  });
});

describe('loadTensorflow', () => {
  unlessBuilt('throws UnsupportedError with the command that builds it', () => {
    expect(loadTensorflow).toThrow(UnsupportedError);
    expect(loadTensorflow).toThrow(expect.objectContaining({ hint: 'npm run engine:tensorflow' }));
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
