import { version } from '../../../protocol/version.js';
import { encodeModelProto } from './proto.js';

/** Those of ONNX 1.16 (2024): what the operators below mean, and how the file is laid out. */
export const opset = 21;
export const irVersion = 10;

export type ElementType = 'float32' | 'int32';

export type Attributes = Readonly<Record<string, number | string | readonly number[]>>;

/** A graph of ONNX operators; values are numbered, shapes are all known. */
export interface Graph {
  inputs: readonly { id: number; type: ElementType; shape: readonly number[] }[];
  constants: readonly { id: number; type: 'float32' | 'int64'; shape: readonly number[]; values: number[] }[];
  nodes: readonly {
    type: string;
    inputs: readonly number[];
    output: number;
    shape: readonly number[];
    attributes: Attributes;
  }[];
  outputs: readonly { id: number; shape: readonly number[] }[];
}

/** The name of a value in the file. */
export const valueName = (id: number): string => `v${id}`;

/** `TensorProto.DataType` */
const dataTypes = { float32: 1, int32: 6, int64: 7 };
/** `AttributeProto.AttributeType` */
const attributeTypes = { int: 2, string: 3, ints: 7 };

/** The bytes of an `.onnx` file; nodes that no output needs are left out. */
export function encodeModel(graph: Graph): Uint8Array {
  const { nodes, used } = neededNodes(graph);
  return encodeModelProto({
    irVersion,
    producerName: 'ihvp',
    producerVersion: version,
    opsetImport: [{ domain: '', version: opset }],
    graph: {
      name: 'ihvp',
      node: nodes.map(({ type, inputs, output, attributes }) => ({
        name: `${type}_${output}`,
        opType: type,
        input: inputs.map(valueName),
        output: [valueName(output)],
        attribute: Object.entries(attributes).map(attributeProto),
      })),
      initializer: graph.constants
        .filter(({ id }) => used.has(id))
        .map(({ id, type, shape, values }) => ({
          name: valueName(id),
          dims: shape,
          dataType: dataTypes[type],
          ...(type === 'float32' ? { floatData: values } : { int64Data: values }),
        })),
      input: graph.inputs
        .filter(({ id }) => used.has(id))
        .map(({ id, type, shape }) => valueInfo(id, dataTypes[type], shape)),
      output: graph.outputs.map(({ id, shape }) => valueInfo(id, dataTypes.float32, shape)),
    },
  });
}

function neededNodes({ nodes, outputs }: Graph) {
  const used = new Set(outputs.map(({ id }) => id));
  const needed = [...nodes].reverse().filter(({ output, inputs }) => {
    if (!used.has(output)) return false;
    for (const input of inputs) used.add(input);
    return true;
  });
  return { nodes: needed.reverse(), used };
}

const valueInfo = (id: number, elemType: number, shape: readonly number[]) => ({
  name: valueName(id),
  type: { tensorType: { elemType, shape: { dim: shape.map((length) => ({ dimValue: length })) } } },
});

function attributeProto([name, value]: [string, Attributes[string]]) {
  if (typeof value === 'number') return { name, type: attributeTypes.int, i: value };
  if (typeof value === 'string')
    return { name, type: attributeTypes.string, s: new TextEncoder().encode(value) };
  return { name, type: attributeTypes.ints, ints: value };
}
