import type { Engine, EngineMemory } from '../engine.js';
import { Call, Calls } from './calls.js';
import { RecordingConvolutions } from './convolution.js';
import type { RecordingName } from '../names.js';
import { Recording, type ClosedGraph } from './recording.js';
import type { Ort } from './runtime.js';
import type { Sessions } from './sessions.js';
import { GraphValue, OnnxTensor, Storage } from './tensor.js';
import { sizeOf } from '../../../protocol/shapes.js';
import { Trace } from './trace.js';

/** Recordings of one key that are kept. */
const mostRecordings = 4;

/**
 * ONNX Runtime as an engine. Operations are written down; the outermost `tidy` — or an operation outside any — closes a
 * graph, whose outputs are the tensors that outlive it. Graphs run when a value is downloaded. A graph recorded before
 * is known by its key, and its session runs again.
 */
export class OnnxEngine extends RecordingConvolutions implements Engine<OnnxTensor> {
  readonly keepLimit = Infinity;
  readonly workBytes: number;
  protected readonly scatters: boolean;
  #calls: Calls;
  #trace: Trace | undefined;
  #live = new Set<OnnxTensor>();
  #indices = new WeakMap<Int32Array, Storage>();
  #bytes = 0;
  /** What was recorded for each key of `repeat`: for several numbers of right-hand sides, say. */
  #recordings = new WeakMap<object, Recording[]>();

  constructor(
    readonly name: RecordingName,
    readonly version: string,
    private readonly ort: Ort,
    private readonly sessions: Sessions,
  ) {
    super();
    this.scatters = name === 'onnx';
    this.workBytes = name === 'onnx' ? 64 * 2 ** 20 : 2 ** 30;
    this.#calls = new Calls(sessions);
  }

  memory(): EngineMemory {
    return { tensors: this.#live.size, bytes: this.#bytes };
  }

  upload(values: Float32Array, shape: readonly number[]) {
    if (values.length !== sizeOf(shape)) throw new RangeError(`${values.length} values are no [${shape}]`);
    const uploaded = new OnnxTensor(shape, this.storageOf(values.slice()));
    if (!this.#trace) this.#keep(uploaded);
    return uploaded;
  }

  constant(values: Float32Array, shape: readonly number[]) {
    return this.upload(values, shape);
  }

  async download(a: OnnxTensor, scratch?: Float32Array) {
    if (!(a.source instanceof Storage))
      throw new Error('a tensor was downloaded inside the scope that makes it');
    const plain = a.matrix ? this.record((trace) => new OnnxTensor(a.shape, trace.read(a))) : a;
    const storage = plain.source as Storage;
    try {
      await this.#calls.run();
      if (storage.failure) throw storage.failure;
      if (!storage.value) throw new Error('a tensor was used after it was freed');
      return await this.sessions.toHost(storage, scratch);
    } finally {
      if (plain !== a) this.dispose([plain]);
    }
  }

  repeat(key: object, inputs: readonly OnnxTensor[], work: () => OnnxTensor): OnnxTensor {
    if (this.#trace) return work();
    const recordings = this.#recordings.get(key) ?? [];
    for (const recording of recordings) {
      const program = recording.fits(inputs) && this.sessions.known(recording.key);
      if (!program) continue;
      const { shape, matrix, size } = recording;
      const result = new Storage('float32', size);
      this.#calls.add(new Call(program, recording.sourcesFor(inputs), [result]));
      const made = new OnnxTensor(shape, result, matrix);
      this.#keep(made);
      return made;
    }
    let closed: ClosedGraph | undefined;
    const made = this.#tidy(
      work,
      (tensor) => [tensor],
      (graph) => (closed = graph),
    );
    if (closed) {
      const others = recordings.filter((recording) => !recording.fits(inputs)).slice(1 - mostRecordings);
      this.#recordings.set(key, [...others, new Recording(closed, inputs, made)]);
    }
    return made;
  }

  tidy<R>(work: () => R, kept: (result: R) => readonly OnnxTensor[]): R {
    return this.#tidy(work, kept);
  }

  #tidy<R>(
    work: () => R,
    kept: (result: R) => readonly OnnxTensor[],
    onClosed: (graph: ClosedGraph) => void = () => {},
  ): R {
    const outer = this.#trace;
    const trace = (this.#trace = outer ?? new Trace());
    let closed = outer !== undefined;
    try {
      const result = work();
      for (const tensor of kept(result)) if (!this.#live.has(tensor)) trace.kept.add(tensor);
      if (!outer) {
        const graph = this.#close(trace);
        closed = graph !== undefined;
        if (graph) onClosed(graph);
      }
      return result;
    } finally {
      this.#trace = outer;
      if (!closed) this.#calls.leave(trace.sources);
    }
  }

  bytesOf(tensors: readonly OnnxTensor[]) {
    const sizes = new Map(tensors.map(({ source, shape }) => [source, sizeOf(shape)]));
    return 4 * [...sizes.values()].reduce((sum, size) => sum + size, 0);
  }

  dispose(tensors: readonly OnnxTensor[]) {
    for (const tensor of tensors) {
      this.#trace?.kept.delete(tensor);
      if (!this.#live.delete(tensor)) continue;
      const storage = tensor.source as Storage;
      if (--storage.holders === 0) this.#bytes -= 4 * storage.size;
      this.#calls.free(storage);
    }
  }

  protected record(operation: (trace: Trace) => OnnxTensor): OnnxTensor {
    if (this.#trace) return operation(this.#trace);
    return this.tidy(
      () => operation(this.#trace!),
      (made) => [made],
    );
  }

  protected storageOf(values: Float32Array | Int32Array): Storage {
    if (values instanceof Float32Array) return this.#storage(values);
    const known = this.#indices.get(values);
    if (known) return known;
    const storage = this.#storage(values);
    // Never freed by a call: it lives as long as the layer that the indices belong to.
    storage.holders++;
    this.#indices.set(values, storage);
    return storage;
  }

  #storage(values: Float32Array | Int32Array): Storage {
    const type = values instanceof Float32Array ? 'float32' : 'int32';
    const storage = new Storage(type, values.length);
    storage.value = new this.ort.Tensor(type, values, [values.length]);
    return storage;
  }

  /** Turns what was recorded into a call that waits, if anything outlives it, and that into tensors of their own. */
  #close(trace: Trace): ClosedGraph | undefined {
    const outputs = new Map<GraphValue, Storage>();
    for (const tensor of trace.kept) {
      const { source } = tensor;
      if (source instanceof GraphValue) {
        const storage = outputs.get(source) ?? new Storage('float32', sizeOf(source.shape));
        outputs.set(source, storage);
        tensor.source = storage;
      }
      this.#keep(tensor);
    }
    if (outputs.size === 0) return undefined;
    const values = [...outputs.keys()];
    const program = this.sessions.program(trace.key(values), () => trace.graph(values));
    this.#calls.add(new Call(program, trace.sources, [...outputs.values()]));
    return { key: program.key, sources: trace.sources };
  }

  #keep(tensor: OnnxTensor): void {
    const storage = tensor.source as Storage;
    this.#live.add(tensor);
    if (storage.holders++ === 0) this.#bytes += 4 * storage.size;
  }
}
