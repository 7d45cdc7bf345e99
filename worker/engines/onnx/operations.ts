import type { Operations } from '../operations.js';
import { checkIds } from '../host-copies.js';
import { planColumns, sourcesOfBlocks, zerosAt } from './columns.js';
import type { GraphValue } from './tensor.js';
import { broadcast, matrixOfOrder, OnnxTensor, sameShape, Storage } from './tensor.js';
import { sizeOf } from '../../../protocol/shapes.js';
import type { Trace } from './trace.js';

/** Up to this many columns the smaller of two transposed products is taken. */
const narrow = 160;

/** Values of a row that is short. */
const shortRow = 128;

/** Values of a run that is short. */
const narrowRun = 16;

/** The tensor operations, written down. `record` gives each the graph that is open, or one of its own. */
export abstract class RecordingOperations implements Omit<
  Operations<OnnxTensor>,
  'windows' | 'convolve' | 'convolveBack' | 'kernelGradient'
> {
  #ones = new Map<string, Storage>();

  protected abstract record(operation: (trace: Trace) => OnnxTensor): OnnxTensor;
  /** Values of the host as a storage. They are not copied: they may not change. */
  protected abstract storageOf(values: Float32Array | Int32Array): Storage;
  /** Adds rows by ids that may repeat, in an order that is always the same. */
  protected abstract readonly scatters: boolean;

  abstract constant(values: Float32Array, shape: readonly number[]): OnnxTensor;

  shape(a: OnnxTensor) {
    return a.shape;
  }

  fill(shape: readonly number[], value: number) {
    return this.record((trace) => tensor(filled(trace, shape, value)));
  }

  /**
   * A right operand that is transposed goes to Gemm as it lies. A left one does not: Gemm takes a third longer for it than
   * a transpose and MatMul do together. Of aᵀ·b with few columns the transpose, bᵀ·a, is multiplied: b is the less to transpose.
   */
  matmul(a: OnnxTensor, b: OnnxTensor) {
    const [rows, inner] = a.shape as [number, number];
    const [other, columns] = b.shape as [number, number];
    if (inner !== other || a.shape.length !== 2 || b.shape.length !== 2)
      throw new RangeError(`shapes [${a.shape}] and [${b.shape}] have no product`);
    const [left, right] = [isTransposed(a), isTransposed(b)];
    return this.record((trace) => {
      if (left && !right && columns <= narrow && columns < rows) {
        const transposed = this.transpose(b, [1, 0]);
        const product = trace.node('MatMul', [trace.read(transposed), trace.readMatrix(a)], [columns, rows]);
        return new OnnxTensor([rows, columns], product, [columns, rows]);
      }
      if (!right) return tensor(trace.node('MatMul', [trace.read(a), trace.read(b)], [rows, columns]));
      const operands = [trace.read(a), trace.readMatrix(b)];
      return tensor(trace.node('Gemm', operands, [rows, columns], { transB: 1 }));
    });
  }

  transpose(a: OnnxTensor, order: readonly number[]): OnnxTensor {
    const shape = order.map((axis) => a.shape[axis]!);
    const matrix = matrixOfOrder(a.shape, order);
    if (matrix?.includes(1)) return this.reshape(a, shape);
    const cut = a.matrix && axesOf(a.shape, a.matrix[1]);
    if (cut !== undefined) {
      // Of a transpose: both are one permutation of the axes as the values lie.
      const lying = this.view(a, [...a.shape.slice(cut), ...a.shape.slice(0, cut)]);
      const after = a.shape.length - cut;
      return this.transpose(
        lying,
        order.map((axis) => (axis < cut ? axis + after : axis - cut)),
      );
    }
    if (matrix && !a.matrix) return this.view(a, shape, matrix);
    return this.record((trace) => tensor(trace.node('Transpose', [trace.read(a)], shape, { perm: order })));
  }

  reshape(a: OnnxTensor, shape: readonly number[]) {
    if (sizeOf(shape) !== sizeOf(a.shape)) throw new RangeError(`[${a.shape}] is no [${shape}]`);
    return this.view(a, shape, a.matrix);
  }

  /** The values of `a` seen in another way. */
  protected view(a: OnnxTensor, shape: readonly number[], matrix?: readonly [number, number]) {
    return this.record(() => new OnnxTensor(shape, a.source, matrix));
  }

  add(a: OnnxTensor, b: OnnxTensor) {
    return this.#binary('Add', a, b);
  }

  sub(a: OnnxTensor, b: OnnxTensor) {
    return this.#binary('Sub', a, b);
  }

  mul(a: OnnxTensor, b: OnnxTensor) {
    return this.#binary('Mul', a, b);
  }

  div(a: OnnxTensor, b: OnnxTensor) {
    return this.#binary('Div', a, b);
  }

  scale(a: OnnxTensor, factor: number) {
    return this.#elementwise(a, (trace, value) =>
      trace.node('Mul', [value, trace.input(this.storageOf(Float32Array.of(factor)), [])], value.shape),
    );
  }

  exp(a: OnnxTensor) {
    return this.#unary('Exp', a);
  }

  log(a: OnnxTensor) {
    return this.#unary('Log', a);
  }

  tanh(a: OnnxTensor) {
    return this.#unary('Tanh', a);
  }

  /** 1/(1 + e⁻ᵃ): the runtime's own is clipped at ±18. */
  sigmoid(a: OnnxTensor) {
    return this.#elementwise(a, (trace, value) => {
      const unary = (type: string, of: GraphValue) => trace.node(type, [of], of.shape);
      const power = unary('Exp', unary('Neg', value));
      return unary('Reciprocal', trace.node('Add', [power, trace.float(1)], value.shape));
    });
  }

  sqrt(a: OnnxTensor) {
    return this.#unary('Sqrt', a);
  }

  erf(a: OnnxTensor) {
    return this.#unary('Erf', a);
  }

  /**
   * max(a, 0) + log1p(u), u = e^−|a|; log1p(u) = u·log(w)/(w − 1) with w = 1 + u rounded, and u where w is 1 (Kahan):
   * the runtime's own loses u there.
   */
  softplus(a: OnnxTensor) {
    return this.#elementwise(a, (trace, value) => {
      const node = (type: string, ...inputs: GraphValue[]) => trace.node(type, inputs, value.shape);
      const one = trace.float(1);
      const u = node('Exp', node('Neg', node('Abs', value)));
      const w = node('Add', u, one);
      const rounded = node('Sub', w, one);
      const ratio = node('Div', node('Mul', u, node('Log', w)), rounded);
      return node('Add', node('Relu', value), node('Where', node('Equal', w, one), u, ratio));
    });
  }

  relu(a: OnnxTensor) {
    return this.#unary('Relu', a);
  }

  step(a: OnnxTensor) {
    return this.#elementwise(a, (trace, value) => {
      const above = trace.node('Greater', [value, trace.float(0)], value.shape);
      return trace.node('Cast', [above], value.shape, { to: 1 });
    });
  }

  /** Short sums of short rows, as over the taps of a pool, are a product with ones: `ReduceSum` takes 6 ns a value there. */
  sum(a: OnnxTensor, axis: number): OnnxTensor {
    const shape = a.shape.map((length, i) => (i === axis ? 1 : length));
    const inner = sizeOf(a.shape.slice(axis + 1));
    const width = a.shape[axis]! * inner;
    const outer = sizeOf(a.shape) / width;
    if (inner === 1 || width > shortRow || outer < shortRow) return this.#reduce('ReduceSum', a, axis);
    return this.record((trace) => {
      const places = trace.input(this.#onesOf(width, inner), [width, inner]);
      const sums = trace.node(
        'MatMul',
        [trace.read(this.reshape(a, [outer, width])), places],
        [outer, inner],
      );
      return this.reshape(tensor(sums), shape);
    });
  }

  /** width × inner: 1 where the row is the column modulo `inner`. */
  #onesOf(width: number, inner: number): Storage {
    const name = `${width} ${inner}`;
    const known = this.#ones.get(name);
    if (known) return known;
    const values = Float32Array.from({ length: width * inner }, (_, i) =>
      Math.floor(i / inner) % inner === i % inner ? 1 : 0,
    );
    const ones = this.storageOf(values);
    ones.holders++;
    this.#ones.set(name, ones);
    return ones;
  }

  max(a: OnnxTensor, axis: number) {
    return this.#reduce('ReduceMax', a, axis);
  }

  concat(parts: readonly OnnxTensor[], axis: number) {
    const shape = [...parts[0]!.shape];
    shape[axis] = parts.reduce((sum, part) => sum + part.shape[axis]!, 0);
    return this.record((trace) =>
      tensor(
        trace.node(
          'Concat',
          parts.map((part) => trace.read(part)),
          shape,
          { axis },
        ),
      ),
    );
  }

  gatherRows(a: OnnxTensor, indices: Int32Array) {
    return this.record((trace) => this.#gather(trace, trace.read(a), indices, 0));
  }

  sliceRows(a: OnnxTensor, from: number, to: number) {
    return this.record((trace) => slice(trace, trace.read(a), 0, from, to));
  }

  gatherColumns(a: OnnxTensor, indices: Int32Array) {
    const [rows, columns] = a.shape as [number, number];
    const { repeats, taps, block, blocks, zeros } = planColumns(indices, columns);
    const groups = blocks.length / taps;
    return this.record((trace) => {
      const cube = this.reshape(a, [rows, columns / block, block]);
      let copied = this.gatherBlocks(trace, cube, blocks, zeros);
      if (taps > 1 && block > 1)
        copied = this.transpose(this.reshape(copied, [rows, groups, taps, block]), [0, 1, 3, 2]);
      const values = this.reshape(copied, [rows, indices.length / repeats, 1]);
      if (repeats === 1) return this.reshape(values, [rows, indices.length]);
      const shape = [rows, indices.length / repeats, repeats];
      const spread = trace.node('Expand', [trace.read(values), trace.integers(...shape)], shape);
      return this.reshape(tensor(spread), [rows, indices.length]);
    });
  }

  /** The steps of `gatherColumns` backwards. Each target block gathers its sources and adds them in order. */
  scatterColumns(a: OnnxTensor, indices: Int32Array, columns: number) {
    const rows = a.shape[0]!;
    const { repeats, taps, block, blocks } = planColumns(indices, columns);
    const { table, depth, zeros } = sourcesOfBlocks(blocks, columns / block);
    return this.record((trace) => {
      const values = this.reshape(a, [rows, indices.length / repeats, repeats]);
      const sums = repeats === 1 ? values : this.sum(values, 2);
      const byTap =
        taps > 1 && block > 1
          ? this.transpose(this.reshape(sums, [rows, blocks.length / taps, block, taps]), [0, 1, 3, 2])
          : sums;
      const cube = this.reshape(byTap, [rows, blocks.length, block]);
      const gathered = this.gatherBlocks(trace, cube, table, zeros);
      const parts = this.reshape(gathered, [rows * (columns / block), depth, block]);
      return this.reshape(depth === 1 ? parts : this.sum(parts, 1), [rows, columns]);
    });
  }

  /** Throws `BadRequestError` for an id that is none. Ids come from the host, or are rows of such. */
  lookupRows(a: OnnxTensor, ids: OnnxTensor) {
    const [rows, width] = a.shape as [number, number];
    const count = sizeOf(ids.shape);
    if (ids.source instanceof Storage && ids.source.value?.location === 'cpu')
      checkIds(ids.source.value.data as Float32Array, rows);
    return this.record((trace) => {
      const whole = trace.node('Cast', [trace.read(this.reshape(ids, [count]))], [count], { to: 6 });
      return tensor(trace.node('Gather', [trace.read(a), whole], [count, width], { axis: 0 }));
    });
  }

  scatterRows(a: OnnxTensor, ids: OnnxTensor, rows: number) {
    const [count, width] = a.shape as [number, number];
    return this.record((trace) => {
      if (!this.scatters) {
        const whole = trace.node('Cast', [trace.read(this.reshape(ids, [count, 1]))], [count, 1], { to: 6 });
        const numbers = trace.input(this.storageOf(Int32Array.from({ length: rows }, (_, row) => row)), [
          1,
          rows,
        ]);
        const hits = trace.node('Equal', [whole, numbers], [count, rows]);
        const oneHot = trace.node('Cast', [hits], [count, rows], { to: 1 });
        return tensor(trace.node('Gemm', [oneHot, trace.read(a)], [rows, width], { transA: 1 }));
      }
      const whole = trace.node('Cast', [trace.read(this.reshape(ids, [count, 1]))], [count, 1], { to: 7 });
      return tensor(
        trace.node('ScatterND', [filled(trace, [rows, width], 0), whole, trace.read(a)], [rows, width], {
          reduction: 'add',
        }),
      );
    });
  }

  #unary(type: string, a: OnnxTensor) {
    return this.#elementwise(a, (trace, value) => trace.node(type, [value], value.shape));
  }

  /** The order of the values does not matter: a transpose stays one. */
  #elementwise(a: OnnxTensor, operation: (trace: Trace, value: GraphValue) => GraphValue) {
    return this.record((trace) =>
      a.matrix
        ? new OnnxTensor(a.shape, operation(trace, trace.readMatrix(a)), a.matrix)
        : tensor(operation(trace, trace.read(a))),
    );
  }

  #binary(type: string, a: OnnxTensor, b: OnnxTensor) {
    return this.record((trace) => {
      if (a.matrix && b.matrix && sameShape(a.matrix, b.matrix) && sameShape(a.shape, b.shape)) {
        const both = trace.node(type, [trace.readMatrix(a), trace.readMatrix(b)], a.matrix);
        return new OnnxTensor(a.shape, both, a.matrix);
      }
      const shape = broadcast(a.shape, b.shape);
      const operands = [a, b].map((of) => trace.read(this.#spread(of, shape)));
      return tensor(trace.node(type, operands, shape));
    });
  }

  /**
   * n × 1 × w or n × K × 1 as n × K × w, where w is small: a product with ones. The runtime broadcasts one short run
   * after the other, 3 ns a value.
   */
  #spread(a: OnnxTensor, shape: readonly number[]): OnnxTensor {
    const [rows, count, width] = shape as [number, number, number];
    if (shape.length !== 3 || a.shape.length !== 3 || a.shape[0] !== rows) return a;
    if (count === 1 || width === 1 || width > narrowRun || rows * count < shortRow) return a;
    const tiles = a.shape[1] === 1 && a.shape[2] === width;
    const repeats = a.shape[1] === count && a.shape[2] === 1;
    if (!tiles && !repeats) return a;
    return this.record((trace) => {
      const [outer, inner, columns] = tiles ? [rows, width, count * width] : [rows * count, 1, width];
      const ones = trace.input(this.#onesOf(columns, inner), [columns, inner]);
      const operands = [trace.read(this.reshape(a, [outer, inner])), ones];
      return this.reshape(tensor(trace.node('Gemm', operands, [outer, columns], { transB: 1 })), shape);
    });
  }

  #reduce(type: string, a: OnnxTensor, axis: number) {
    const shape = a.shape.map((length, i) => (i === axis ? 1 : length));
    return this.record((trace) =>
      tensor(trace.node(type, [trace.read(a), trace.integers(axis)], shape, { keepdims: 1 })),
    );
  }

  #gather(trace: Trace, a: GraphValue, indices: Int32Array, axis: 0 | 1): OnnxTensor {
    const shape = a.shape.map((length, i) => (i === axis ? indices.length : length));
    const places = trace.input(this.storageOf(indices), [indices.length]);
    return tensor(trace.node('Gather', [a, places], shape, { axis }));
  }

  /** Of rows × count × block: the blocks named, zeros for −1. */
  protected gatherBlocks(
    trace: Trace,
    cube: OnnxTensor,
    blocks: Int32Array,
    zeros = blocks.includes(-1),
  ): OnnxTensor {
    const [rows, count, block] = cube.shape as [number, number, number];
    if (!zeros) {
      const from = blocks[0]!;
      const contiguous = blocks.every((index, place) => index === from + place);
      if (!contiguous) return this.#gather(trace, trace.read(cube), blocks, 1);
      return blocks.length === count ? cube : slice(trace, trace.read(cube), 1, from, from + blocks.length);
    }
    const parts = [trace.read(cube), filled(trace, [rows, 1, block], 0)];
    const widened = trace.node('Concat', parts, [rows, count + 1, block], { axis: 1 });
    return this.#gather(trace, widened, zerosAt(blocks, count), 1);
  }
}

const filled = (trace: Trace, shape: readonly number[], value: number) =>
  trace.node('Expand', [trace.float(value), trace.integers(...shape)], shape);

const tensor = (value: GraphValue, shape: readonly number[] = value.shape) => new OnnxTensor(shape, value);

/** How many of the first axes have so many values together, if some have. */
function axesOf(shape: readonly number[], size: number): number | undefined {
  for (let count = 0, product = 1; count <= shape.length; product *= shape[count++]!)
    if (product === size) return count;
  return undefined;
}

/** Whether its values are those of its transpose, as a matrix. */
const isTransposed = ({ matrix, shape }: OnnxTensor) =>
  matrix !== undefined && sameShape(shape, [matrix[1], matrix[0]]);

function slice(trace: Trace, a: GraphValue, axis: 0 | 1, from: number, to: number) {
  const shape = a.shape.map((length, i) => (i === axis ? to - from : length));
  const bounds = [from, to, axis].map((bound) => trace.integers(bound));
  return tensor(trace.node('Slice', [a, ...bounds], shape));
}
