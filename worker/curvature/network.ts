import { parameterLayout } from '../../protocol/model.js';
import type { Network, ParameterLayout } from '../../protocol/model.js';
import type { Device } from '../engines/operations.js';
import { activationLayer } from './activation-layer.js';
import { uploadBlock } from './block.js';
import { denseLayer } from './dense.js';
import type { Layer } from './layer.js';

/** A network with its parameters on the device: made once, used by every batch of the thread. */
export interface BoundNetwork<T> {
  network: Network;
  layout: ParameterLayout;
  layers: readonly Layer<T>[];
  held: readonly T[];
}

/** Uploads θ (p values) for `network`. Throws `ShapeMismatchError` for another length. Free it with its `held`. */
export function bindNetwork<T>(
  device: Device<T>,
  network: Network,
  parameters: Float32Array,
): BoundNetwork<T> {
  const layout = parameterLayout(network);
  return device.tidy(
    () => {
      const { slices } = uploadBlock(device, layout, parameters, 1);
      let used = 0;
      const layers = network.layers.flatMap((description, index) => {
        const name = `layer${index}`;
        const kernel = slices[used++]!;
        const bias = description.useBias ? slices[used++] : undefined;
        const dense = denseLayer(device, name, { kernel, bias }, index === 0);
        const { activation } = description;
        return activation === 'linear' ? [dense] : [dense, activationLayer(device, name, activation)];
      });
      return { network, layout, layers, held: layers.flatMap((layer) => layer.held) };
    },
    (bound) => bound.held,
  );
}
