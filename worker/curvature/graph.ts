import type { Operations } from '../engines/operations.js';
import type { Curvature } from '../../protocol/requests.js';
import type { Layer, LayerGradient, ParameterDirections, TangentMaps } from './layer.js';
import { addPresent } from './layer.js';

/** A layer and where its inputs come from: indices of earlier nodes, −1 for the network's input. */
export interface Node<T> {
  layer: Layer<T>;
  inputs: readonly number[];
  /** Whether any parameter decides its output. Where none does, it has no delta and no tangent. */
  varies: boolean;
}

/** The nodes in an order of computation; the last is the output. Linearizations keep one entry a node. */
export type Graph<T> = readonly Node<T>[];

export interface GraphPass<T> {
  output: T;
  /** Of each node; undefined for one that does not vary. */
  backward(outputDelta: T): readonly (LayerGradient<T> | undefined)[];
}

export function forward<T>(ops: Operations<T>, graph: Graph<T>, features: T): GraphPass<T> {
  const outputs: T[] = [];
  const passes = graph.map(({ layer, inputs }) => {
    const pass = layer.forward(inputs.map((input) => (input < 0 ? features : outputs[input]!)));
    outputs.push(pass.output);
    return pass;
  });
  return {
    output: outputs.at(-1)!,
    backward: (outputDelta) =>
      backwards(ops, graph, outputDelta, (index, delta) => {
        const gradient = passes[index]!.backward(delta);
        return { result: gradient, inputDeltas: gradient.inputDeltas };
      }),
  };
}

export function linearizeGraph<T>(
  gradients: readonly (LayerGradient<T> | undefined)[],
  curvature: Curvature,
): readonly (TangentMaps<T> | undefined)[] {
  return gradients.map((gradient) => gradient?.tangentMaps(curvature));
}

/** The tangent forward pass: the network's output's, and what each node needs to go back. */
export function tangentForward<T>(
  graph: Graph<T>,
  maps: readonly (TangentMaps<T> | undefined)[],
  directions: readonly (ParameterDirections<T> | undefined)[],
) {
  const tangents: (T | undefined)[] = [];
  const passes = graph.map(({ inputs }, index) => {
    const pass = maps[index]?.forward(
      directions[index],
      inputs.map((input) => tangents[input]),
    );
    tangents.push(pass?.outputTangent);
    return pass;
  });
  return { outputTangent: tangents.at(-1)!, passes };
}

/** One tangent forward and one tangent backward pass: the slices of every node, in the order of the nodes. */
export function tangentPass<T>(
  ops: Operations<T>,
  graph: Graph<T>,
  maps: readonly (TangentMaps<T> | undefined)[],
  directions: readonly (ParameterDirections<T> | undefined)[],
  outputDelta: (outputTangent: T) => T,
): T[] {
  const { outputTangent, passes } = tangentForward(graph, maps, directions);
  const slices = backwards(ops, graph, outputDelta(outputTangent), (index, delta) => {
    const back = passes[index]!.backward(delta);
    return { result: back.slices, inputDeltas: back.inputDeltaTangents };
  });
  return slices.flatMap((own) => own ?? []);
}

/** Visits the nodes that vary from the output back, the deltas of an output that several nodes take summed. */
function backwards<T, R>(
  ops: Operations<T>,
  graph: Graph<T>,
  outputDelta: T,
  visit: (index: number, delta: T) => { result: R; inputDeltas: readonly (T | undefined)[] },
): (R | undefined)[] {
  const deltas: (T | undefined)[] = graph.map(() => undefined);
  const results: (R | undefined)[] = graph.map(() => undefined);
  deltas[graph.length - 1] = outputDelta;
  for (const [index, { inputs, varies }] of [...graph.entries()].reverse()) {
    if (!varies) continue;
    const { result, inputDeltas } = visit(index, deltas[index]!);
    results[index] = result;
    deltas[index] = undefined;
    for (const [place, input] of inputs.entries())
      if (input >= 0 && graph[input]!.varies)
        deltas[input] = addPresent(ops, deltas[input], inputDeltas[place]);
  }
  return results;
}
