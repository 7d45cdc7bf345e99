import { sizeOf } from '../../../protocol/shapes.js';
import type { ElementType } from './model.js';
import type { Call } from './calls.js';
import type { OrtTensor } from './runtime.js';

/** Values outside any graph: they are there, or a call that waits will make them. */
export class Storage {
  /** Undefined until its call has run, and after it has been freed. */
  value: OrtTensor | undefined;
  /** Whether a call has made it, so that nobody else has its values. */
  computed = false;
  /** Why its call failed. */
  failure: Error | undefined;
  /** The call that makes it, until that has run. */
  producer: Call | undefined;
  /** Live tensors that see it. */
  holders = 0;
  /** Graphs that read it and have not run. */
  readers = 0;

  constructor(
    readonly type: ElementType,
    readonly size: number,
  ) {}
}

/** A value inside a graph that is being recorded. */
export class GraphValue {
  constructor(
    readonly graph: object,
    readonly id: number,
    readonly shape: readonly number[],
  ) {}
}

/**
 * The engine's handle of a tensor: a shape over values that several tensors may share. With `matrix` [m, n] the values
 * are those of an m × n matrix, and the tensor's own are its transpose's, row by row: a transposed copy is made only
 * where an operation needs one.
 */
export class OnnxTensor {
  constructor(
    readonly shape: readonly number[],
    /** Becomes the storage where a value outlives its graph. */
    public source: Storage | GraphValue,
    readonly matrix?: readonly [rows: number, columns: number],
  ) {}
}

/** NumPy's rule. */
export function broadcast(a: readonly number[], b: readonly number[]): readonly number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[i + a.length - rank] ?? 1, b[i + b.length - rank] ?? 1];
    if (x !== y && x !== 1 && y !== 1) throw new RangeError(`shapes [${a}] and [${b}] do not broadcast`);
    return Math.max(x, y);
  });
}

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((length, axis) => length === b[axis]);

/**
 * Where permuting the axes only exchanges two groups of neighbouring ones, the matrix that this transposes: the first
 * group's length by the second's; one row where it moves nothing. Undefined for any other order.
 */
export function matrixOfOrder(
  shape: readonly number[],
  order: readonly number[],
): readonly [number, number] | undefined {
  const axes = order.filter((axis) => shape[axis] !== 1);
  if (axes.length === 0) return [1, 1];
  const sorted = [...axes].sort((a, b) => a - b);
  const cut = sorted.indexOf(axes[0]!);
  const rotated = [...sorted.slice(cut), ...sorted.slice(0, cut)];
  if (axes.some((axis, i) => axis !== rotated[i])) return undefined;
  const length = (some: readonly number[]) => sizeOf(some.map((axis) => shape[axis]!));
  return [length(sorted.slice(0, cut)), length(sorted.slice(cut))];
}
