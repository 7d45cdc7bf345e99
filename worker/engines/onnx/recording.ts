import { sizeOf } from '../../../protocol/shapes.js';
import { sameShape, Storage, type OnnxTensor } from './tensor.js';

/** A graph that was recorded to its end: its key, and what each of its inputs reads. */
export interface ClosedGraph {
  key: string;
  sources: readonly Storage[];
}

/** A graph of one result that may run again with other tensors in the place of some. */
export class Recording {
  readonly key: string;
  readonly shape: readonly number[];
  readonly matrix: readonly [number, number] | undefined;
  readonly size: number;
  /** What each input of the graph reads: the tensor of that number, or always the same. */
  #sources: readonly (Storage | number)[];
  #inputs: readonly OnnxTensor[];
  #places: readonly number[];

  /** @param inputs tensors that outlive their graphs, in whose place others may come; `made`: the result */
  constructor({ key, sources }: ClosedGraph, inputs: readonly OnnxTensor[], made: OnnxTensor) {
    this.key = key;
    this.shape = made.shape;
    this.matrix = made.matrix;
    this.size = sizeOf(made.shape);
    this.#inputs = inputs;
    this.#places = placesOf(inputs);
    this.#sources = sources.map((source) => {
      const place = inputs.findIndex((input) => input.source === source);
      if (place >= 0) return place;
      // A number of the host that was written down on the way: nobody else holds it.
      if (source.holders === 0) source.holders++;
      return source;
    });
  }

  /** Whether these tensors see values of the same shapes in the same way, and share them as those did. */
  fits(inputs: readonly OnnxTensor[]): boolean {
    const places = placesOf(inputs);
    return (
      inputs.length === this.#inputs.length &&
      inputs.every(({ source, shape, matrix }, i) => {
        const known = this.#inputs[i]!;
        return (
          source instanceof Storage &&
          places[i] === this.#places[i] &&
          sameShape(shape, known.shape) &&
          sameShape(matrix ?? [], known.matrix ?? [])
        );
      })
    );
  }

  /** What each input of the graph reads now, counted as read. */
  sourcesFor(inputs: readonly OnnxTensor[]): Storage[] {
    return this.#sources.map((source) => {
      const storage = typeof source === 'number' ? (inputs[source]!.source as Storage) : source;
      storage.readers++;
      return storage;
    });
  }
}

/** Of each tensor the first one that sees the same values. */
const placesOf = (inputs: readonly OnnxTensor[]) =>
  inputs.map(({ source }) => inputs.findIndex((other) => other.source === source));
