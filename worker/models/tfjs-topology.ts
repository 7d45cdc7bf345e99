import { BadFileError, UnsupportedError } from '../../protocol/errors.js';
import type { PlacedLayer, TfjsFunctional, TfjsLayer } from './tfjs-file.js';

/**
 * The layers of a functional model that its output depends on, each after those it takes its inputs from. Throws
 * `UnsupportedError` for several inputs or outputs and for a layer that is used twice, `BadFileError` for a cycle.
 */
export function orderLayers({ layers, input_layers, output_layers }: TfjsFunctional): PlacedLayer[] {
  const byName = new Map(layers.map((layer) => [nameOf(layer), layer]));
  only(tensorNames(input_layers), 'inputs');
  const ordered: PlacedLayer[] = [];
  const state = new Map<string, 'open' | 'done'>();
  // An explicit stack: a model may be deeper than the host's.
  const stack = [only(tensorNames(output_layers), 'outputs')];
  while (stack.length > 0) {
    const name = stack.at(-1)!;
    const layer = byName.get(name);
    if (!layer) throw new BadFileError(`model.json has no layer "${name}", which others take as their input`);
    const inputs = inputsOf(layer);
    const missing = inputs.filter((input) => state.get(input) !== 'done');
    if (missing.length === 0) {
      if (state.get(name) !== 'done') ordered.push({ layer, inputs });
      state.set(name, 'done');
      stack.pop();
    } else if (missing.some((input) => state.get(input) === 'open') || missing.includes(name))
      throw new BadFileError(`layer "${name}" of model.json is part of a cycle`, {
        details: { layer: name },
      });
    else {
      state.set(name, 'open');
      stack.push(missing[0]!);
    }
  }
  return ordered;
}

const nameOf = (layer: TfjsLayer) => layer.name ?? layer.config.name;

function only(names: readonly string[], what: string): string {
  const [name, ...others] = names;
  if (name === undefined || others.length > 0)
    throw new UnsupportedError(`a model with ${names.length} ${what} is not supported`, {
      hint: `one of its ${what} is what we take: cut the model to it before saving`,
      details: { [what]: names },
    });
  return name;
}

function inputsOf(layer: TfjsLayer): string[] {
  const nodes = layer.inbound_nodes ?? [];
  if (nodes.length > 1)
    throw new UnsupportedError(
      `layer "${nameOf(layer)}" is used ${nodes.length} times; shared layers are not supported`,
      {
        details: { layer: nameOf(layer) },
      },
    );
  return tensorNames(nodes);
}

/**
 * The layers named by a nest of tensors: `["dense", 0, 0, {…}]` as tfjs and Keras 2 write them, or an object with
 * `keras_history: ["dense", 0, 0]` as Keras 3 does.
 */
function tensorNames(nest: unknown): string[] {
  if (Array.isArray(nest)) {
    const [name, node] = nest as unknown[];
    return typeof name === 'string' && typeof node === 'number' ? [name] : nest.flatMap(tensorNames);
  }
  if (typeof nest !== 'object' || nest === null) return [];
  if ('keras_history' in nest) return tensorNames(nest.keras_history);
  return Object.values(nest).flatMap(tensorNames);
}
