import type { TfjsLayer } from './tfjs-file.js';
import { option, refuse } from './tfjs-options.js';

/** The weights of a layer in the order in which Keras makes them; what a layer does without is left out. */
const parts: Readonly<Record<string, (layer: TfjsLayer) => string[]>> = {
  Dense: () => ['kernel', 'bias'],
  Conv1D: () => ['kernel', 'bias'],
  Conv2D: () => ['kernel', 'bias'],
  DepthwiseConv2D: () => ['depthwise_kernel', 'bias'],
  SeparableConv2D: () => ['depthwise_kernel', 'pointwise_kernel', 'bias'],
  BatchNormalization: (layer) => [...affine(layer), 'moving_mean', 'moving_variance'],
  LayerNormalization: affine,
  Embedding: () => ['embeddings'],
};

function affine(layer: TfjsLayer): string[] {
  return [
    ...(option(layer, 'scale') === false ? [] : ['gamma']),
    ...(option(layer, 'center') === false ? [] : ['beta']),
  ];
}

/**
 * Weights converted from a `.keras` file, `layers/conv2d_1/vars/0`, under the names that all other files have,
 * `my_convolution/kernel`. Keras 3 counts the layers of a class in the order of the model's list, whatever they are called, and
 * the weights of a layer (`keras.src.saving.saving_lib._save_container_state`, Keras 3.15). Other names stay.
 * Throws `UnsupportedError` for a layer that we know with more weights than we know of.
 */
export function namedByLayer<T>(
  weights: ReadonlyMap<string, T>,
  layers: readonly TfjsLayer[],
): Map<string, T> {
  const counts = new Map<string, number>();
  const names = new Map<string, string>();
  for (const layer of layers) {
    const kind = snakeCase(layer.class_name);
    const count = counts.get(kind) ?? 0;
    counts.set(kind, count + 1);
    const known = parts[layer.class_name]?.(layer);
    if (!known) continue;
    const nameOf = (i: number) => `layers/${kind}${count === 0 ? '' : `_${count}`}/vars/${i}`;
    for (const [i, part] of known.entries()) names.set(nameOf(i), `${layer.config.name}/${part}`);
    if (weights.has(nameOf(known.length)))
      refuse(layer, `${layer.class_name} with more weights than ${known.join(', ')} is not supported`);
  }
  return new Map([...weights].map(([name, weight]) => [names.get(name) ?? name, weight]));
}

/** As Keras writes a class's name, `keras.src.utils.naming.to_snake_case`. */
const snakeCase = (name: string) =>
  name
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
