import { encodeModel, valueName } from './model.js';
import type { ElementType, Graph } from './model.js';
import type { Ort, OrtOptions, OrtSession, OrtTensor } from './runtime.js';
import type { Storage } from './tensor.js';
import { sizeOf } from '../../../protocol/shapes.js';

/** A graph ready to run: its model, and a session from its first run until others take its place. */
export class Program {
  /** Bytes of all its intermediate results, of which the session's memory holds a part. */
  readonly bytes: number;
  readonly inputs: Graph['inputs'];
  readonly outputs: Graph['outputs'];
  readonly model: Uint8Array;
  session: Promise<OrtSession> | undefined;

  constructor(
    readonly key: string,
    graph: Graph,
  ) {
    this.inputs = graph.inputs;
    this.outputs = graph.outputs;
    this.bytes = graph.nodes.reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
    this.model = encodeModel(graph);
  }
}

/** Sessions of ONNX Runtime by what their graphs compute, least recently used out first. */
export class Sessions {
  #programs = new Map<string, Program>();
  #bytes = 0;
  #evicted: Program[] = [];

  constructor(
    private readonly ort: Ort,
    private readonly options: OrtOptions,
    /** How much is kept: so many sessions, and with more than one so many bytes of intermediate results. */
    private readonly limit: { sessions: number; bytes: number },
    /** Called with each new model, before its first run. */
    private readonly onModel: (model: Uint8Array) => Promise<void> = async () => {},
  ) {}

  /** The program of a graph that was there before and was not given up. */
  known(key: string): Program | undefined {
    const program = this.#programs.get(key);
    if (!program) return undefined;
    this.#programs.delete(key);
    this.#programs.set(key, program);
    return program;
  }

  program(key: string, graph: () => Graph): Program {
    const known = this.known(key);
    if (known) return known;
    const program = new Program(key, graph());
    this.#programs.set(key, program);
    this.#bytes += program.bytes;
    for (const [oldest, evicted] of this.#programs) {
      const { size } = this.#programs;
      if (size <= this.limit.sessions && (this.#bytes <= this.limit.bytes || size === 1)) break;
      this.#programs.delete(oldest);
      this.#bytes -= evicted.bytes;
      this.#evicted.push(evicted);
    }
    return program;
  }

  /** One at a time. A program that has lost its place may still have calls waiting: it gets a new session then. */
  async run(program: Program, sources: readonly Storage[]): Promise<readonly OrtTensor[]> {
    for (const evicted of this.#evicted.splice(0)) {
      const session = await evicted.session?.catch(() => undefined);
      evicted.session = undefined;
      await session?.release();
    }
    program.session ??= this.#open(program);
    const session = await program.session;
    const feeds: Record<string, OrtTensor> = {};
    for (const [i, { id, type, shape }] of program.inputs.entries())
      feeds[valueName(id)] = this.#view(sources[i]!.value!, type, shape);
    const results = await session.run(feeds);
    return program.outputs.map(({ id }) => results[valueName(id)]!);
  }

  /** The values of a tensor, from wherever it lies. A GPU's go through a graph: the binding cannot read them. */
  async toHost(storage: Storage, scratch?: Float32Array): Promise<Float32Array> {
    const value = storage.value!;
    if (value.location === 'cpu') {
      const values = scratch ?? new Float32Array(storage.size);
      values.set(value.data);
      return values;
    }
    const { size, type } = storage;
    const copy = this.program(`to host ${size}`, () => ({
      inputs: [{ id: 0, type, shape: [size] }],
      constants: [],
      nodes: [{ type: 'Identity', inputs: [0], output: 1, shape: [size], attributes: {} }],
      outputs: [{ id: 1, shape: [size] }],
    }));
    copy.session ??= this.#open(copy, 'cpu');
    const [copied] = await this.run(copy, [storage]);
    return copied!.data as Float32Array;
  }

  #view(value: OrtTensor, type: ElementType, dims: readonly number[]): OrtTensor {
    return value.location === 'cpu'
      ? new this.ort.Tensor(type, value.data, dims)
      : this.ort.Tensor.fromGpuBuffer(value.gpuBuffer, { dataType: type, dims });
  }

  async #open(program: Program, location = this.options.preferredOutputLocation): Promise<OrtSession> {
    await this.onModel(program.model);
    const options = { ...this.options, ...(location && { preferredOutputLocation: location }) };
    return this.ort.InferenceSession.create(program.model, options);
  }
}
