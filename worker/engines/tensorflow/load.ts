import { createRequire } from 'node:module';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { UnsupportedError } from '../../../protocol/errors.js';
import { readRecipe, tensorflowFolder, type Recipe } from './folder.js';

interface Binding {
  isUsingGpuDevice(): boolean;
}
interface BackendModule {
  NodeJSKernelBackend: new (binding: Binding, packageName: string) => tf.KernelBackend;
}

export interface Tensorflow {
  /** The `@tensorflow/tfjs` of this thread, now with the backend `tensorflow`. */
  tf: typeof tf;
  /** Of libtensorflow. */
  version: string;
  device: 'cpu' | 'gpu';
}

const withCuda = 'npm run engine:tensorflow -- --wheel tensorflow';

/**
 * Registers libtensorflow as the TensorFlow.js backend `tensorflow` in this thread. tfjs-node's own entry is left out:
 * it looks for the addon where its install script would have put it.
 * Throws `UnsupportedError` if the addon has not been built or does not load, or does not compute on `wanted`.
 */
export function loadTensorflow(wanted: Tensorflow['device'] = 'cpu'): Tensorflow {
  const recipe = readRecipe();
  if (!recipe)
    throw new UnsupportedError(`${nameOf(wanted)}: libtensorflow has not been built here`, {
      hint: wanted === 'gpu' ? withCuda : 'npm run engine:tensorflow',
    });
  if (wanted === 'gpu' && recipe.wheel === 'tensorflow-cpu')
    throw new UnsupportedError('tensorflow-gpu: libtensorflow has been built here without CUDA', {
      hint: withCuda,
    });
  const loaded = loadAny(recipe);
  if (loaded.device !== wanted)
    throw wanted === 'gpu'
      ? new UnsupportedError('tensorflow-gpu: no GPU found: libtensorflow sees only the CPU', {
          hint: 'look at nvidia-smi, CUDA_VISIBLE_DEVICES, and whether the CUDA libraries are installed',
        })
      : new UnsupportedError('tensorflow: libtensorflow computes on the GPU in this process', {
          hint: 'ask for tensorflow-gpu, or set CUDA_VISIBLE_DEVICES=-1',
        });
  return loaded;
}

const nameOf = (device: Tensorflow['device']) => (device === 'gpu' ? 'tensorflow-gpu' : 'tensorflow');

/** The same, whatever it computes on. */
export function loadAny(recipe: Recipe): Tensorflow {
  try {
    const require = createRequire(join(tensorflowFolder, 'recipe.json'));
    const binding = require('./tfjs_binding.node') as Binding;
    if (tf.findBackend('tensorflow') === null) {
      require('@tensorflow/tfjs-node/dist/register_all_kernels.js');
      const { NodeJSKernelBackend } =
        require('@tensorflow/tfjs-node/dist/nodejs_kernel_backend.js') as BackendModule;
      tf.registerBackend('tensorflow', () => new NodeJSKernelBackend(binding, '@tensorflow/tfjs-node'));
    }
    return { tf, version: recipe.tensorflow, device: binding.isUsingGpuDevice() ? 'gpu' : 'cpu' };
  } catch (cause) {
    throw new UnsupportedError(
      `libtensorflow does not load: ${cause instanceof Error ? cause.message : String(cause)}`,
      { hint: `delete ${tensorflowFolder} and run npm run engine:tensorflow`, cause },
    );
  }
}
