import type { Attributes, Graph } from './model.js';
import type { OnnxTensor } from './tensor.js';
import { GraphValue, sameShape, Storage } from './tensor.js';
import { sizeOf } from '../../../protocol/shapes.js';

/**
 * A graph as it is recorded. Whatever comes from outside — batches, parameters, cached tensors, indices, factors — is an
 * input, never a constant: two recordings of the same computation at other values have the same key.
 */
export class Trace {
  /** What each input reads, in the order of the graph's inputs. */
  readonly sources: Storage[] = [];
  /** Tensors that outlive it. */
  readonly kept = new Set<OnnxTensor>();
  #inputs: Graph['inputs'][number][] = [];
  #constants: Graph['constants'][number][] = [];
  #nodes: Graph['nodes'][number][] = [];
  #values = 0;
  #key: string[] = [];
  /** Inputs by storage, and what was made of a value to be seen through another shape. */
  #seen = new Map<Storage | GraphValue, Map<string, GraphValue>>();
  #known = new Map<string, number>();

  /** The value of a tensor, in its shape. */
  read(tensor: OnnxTensor): GraphValue {
    const { matrix, shape } = tensor;
    if (!matrix) return this.#as(tensor.source, shape);
    const seen = this.#seenOf(tensor.source);
    const name = `transposed ${matrix}`;
    let transposed = seen.get(name);
    if (!transposed) {
      const base = this.#as(tensor.source, matrix);
      transposed = this.node('Transpose', [base], [matrix[1], matrix[0]], { perm: [1, 0] });
      seen.set(name, transposed);
    }
    return this.#as(transposed, shape);
  }

  /** The values that a tensor's are the transpose of, as the matrix that they are. */
  readMatrix({ source, matrix }: OnnxTensor): GraphValue {
    return this.#as(source, matrix!);
  }

  /** Values of the host, of one use. */
  input(storage: Storage, shape: readonly number[]): GraphValue {
    return this.#as(storage, shape);
  }

  /** Integers that an operator takes as an input: axes, shapes, bounds. */
  integers(...values: number[]): GraphValue {
    return this.#constant('int64', [values.length], values);
  }

  float(value: number): GraphValue {
    return this.#constant('float32', [], [value]);
  }

  node(
    type: string,
    inputs: readonly GraphValue[],
    shape: readonly number[],
    attributes: Attributes = {},
  ): GraphValue {
    const ids = inputs.map(({ graph, id }) => {
      if (graph !== this) throw new Error('a tensor was used after the scope that made it');
      return id;
    });
    const id = this.#values++;
    this.#nodes.push({ type, inputs: ids, output: id, shape, attributes });
    // The shape tells apart what operators make of constants, which the key does not repeat.
    this.#key.push(`${type} ${ids} ${Object.values(attributes).join('/')} ${shape}`);
    return new GraphValue(this, id, shape);
  }

  /** The graph that makes `outputs`, and what tells it from all others. */
  key(outputs: readonly GraphValue[]): string {
    return `${this.#key.join('\n')}\n→ ${outputs.map(({ id }) => id)}`;
  }

  graph(outputs: readonly GraphValue[]): Graph {
    return { inputs: this.#inputs, constants: this.#constants, nodes: this.#nodes, outputs };
  }

  get inputs(): Graph['inputs'] {
    return this.#inputs;
  }

  #seenOf(source: Storage | GraphValue) {
    const seen = this.#seen.get(source) ?? new Map<string, GraphValue>();
    this.#seen.set(source, seen);
    return seen;
  }

  #as(source: Storage | GraphValue, shape: readonly number[]): GraphValue {
    if (source instanceof GraphValue && sameShape(source.shape, shape)) return source;
    const seen = this.#seenOf(source);
    const name = `${shape}`;
    const known = seen.get(name);
    if (known) return known;
    const made =
      source instanceof Storage
        ? this.#input(source, shape)
        : this.node('Reshape', [source, this.integers(...shape)], shape);
    seen.set(name, made);
    return made;
  }

  #input(storage: Storage, shape: readonly number[]): GraphValue {
    const id = this.#values++;
    if (sizeOf(shape) !== storage.size) throw new RangeError(`${storage.size} values are no [${shape}]`);
    this.#inputs.push({ id, type: storage.type, shape });
    this.sources.push(storage);
    storage.readers++;
    this.#key.push(`in ${storage.type} ${shape}`);
    return new GraphValue(this, id, shape);
  }

  #constant(type: 'float32' | 'int64', shape: readonly number[], values: number[]): GraphValue {
    const key = `${type} ${values}`;
    const known = this.#known.get(key);
    if (known !== undefined) return new GraphValue(this, known, shape);
    const id = this.#values++;
    this.#known.set(key, id);
    this.#constants.push({ id, type, shape, values });
    this.#key.push(key);
    return new GraphValue(this, id, shape);
  }
}
