import { parameterLayout } from '../../protocol/model.js';
import type { Network, ParameterLayout } from '../../protocol/model.js';
import { resolveLayers } from '../../protocol/shapes.js';
import type { Device } from '../engines/operations.js';
import { bindLayer } from './bind-layer.js';
import { uploadBlock } from './block.js';
import type { Graph, Node } from './graph.js';

/** A network with its parameters on the device: made once, used by every batch of the thread. */
export interface BoundNetwork<T> {
  network: Network;
  layout: ParameterLayout;
  graph: Graph<T>;
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
      const graph: Node<T>[] = [];
      /** The node whose output is that of a described layer: some take several nodes, some none. */
      const nodeOf: number[] = [];
      let used = 0;
      for (const resolved of resolveLayers(network)) {
        let inputs = resolved.inputs.map((input) => (input < 0 ? input : nodeOf[input]!));
        let varies = inputs.some((input) => input >= 0 && graph[input]!.varies);
        const own = slices.slice(used, (used += resolved.parameters.length));
        for (const layer of bindLayer(device, resolved, own, varies)) {
          varies ||= layer.sliceCount > 0;
          graph.push({ layer, inputs, varies });
          inputs = [graph.length - 1];
        }
        nodeOf.push(inputs[0]!);
      }
      return { network, layout, graph, held: [...new Set(graph.flatMap(({ layer }) => layer.held))] };
    },
    (bound) => bound.held,
  );
}
