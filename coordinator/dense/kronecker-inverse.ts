import type { KroneckerBlock } from '../../protocol/kronecker.js';
import type { SmallEigen } from '../solvers/small-eigen.js';
import type { MatrixProduct } from './matrix-product.js';
import { transposed } from './panels.js';

/** A block with the eigenpairs of its two factors. */
export interface FactoredBlock extends KroneckerBlock {
  input: SmallEigen;
  output: SmallEigen;
}

export interface KroneckerFactors {
  blocks: readonly FactoredBlock[];
  /** Of each parameter; that of a block is its kernel's. */
  l2: Float64Array;
}

/** M⁻¹ for a λ times each row of a block, K × p. */
export interface Application {
  /** Undefined: those of the application before. */
  factors: KroneckerFactors | undefined;
  block: Float64Array;
  damping: number;
}

/**
 * M⁻¹ for M = ⊕ (Ω ⊗ Γ) + diag(l2) + λI over the kernels (K-FAC, Martens & Grosse 2015; KFC, Grosse & Martens 2016), exact in the
 * factors' eigenvectors Ω = QᵀAQ and Γ = UᵀGU: R ↦ Qᵀ·[(Q·R·Uᵀ) / (αᵢ·γⱼ + l2 + λ)]·U (George et al. 2018, without their
 * correction). Parameters outside the blocks count by the mean of the blocks' diagonals. 4·rows·units·(rows + units)
 * operations a block and vector.
 */
export class KroneckerInverse {
  readonly #factors: KroneckerFactors;
  readonly #product: MatrixProduct;
  /** Qᵀ and Uᵀ of each block. */
  readonly #back: readonly { input: Float64Array; output: Float64Array }[];
  /** What a parameter outside the blocks has on H's diagonal. */
  readonly #mean: number;

  constructor(factors: KroneckerFactors, product: MatrixProduct) {
    const { blocks } = factors;
    this.#factors = factors;
    this.#product = product;
    this.#back = blocks.map(({ rows, units, input, output }) => ({
      input: transposed(input.vectors, rows),
      output: transposed(output.vectors, units),
    }));
    const factored = sum(blocks.map(({ rows, units }) => rows * units));
    const traces = blocks.map(({ input, output }) => sum(input.values) * sum(output.values));
    this.#mean = factored === 0 ? 1 : sum(traces) / factored;
  }

  /** M⁻¹ times each row of `residuals` (K × p), for a λ, as rows of a new array. */
  async apply(residuals: Float64Array, damping: number): Promise<Float64Array> {
    const { blocks, l2 } = this.#factors;
    const result = residuals.map((value, at) => value / (this.#mean + l2[at % l2.length]! + damping));
    for (const [at, block] of blocks.entries()) {
      const { rows, units, input, output } = block;
      const back = this.#back[at]!;
      // K × rows × units, and K × units × rows where the inputs are multiplied.
      const alongOutput = await this.#product(gather(residuals, l2.length, block), output.vectors, units);
      const byUnit = transposedEach(alongOutput, rows, units);
      const along = await this.#product(byUnit, input.vectors, rows);
      divide(along, block, l2[block.offset]! + damping);
      const backByUnit = await this.#product(along, back.input, rows);
      const backAlongOutput = transposedEach(backByUnit, units, rows);
      scatter(await this.#product(backAlongOutput, back.output, units), result, l2.length, block);
    }
    return result;
  }
}

const sum = (values: ArrayLike<number>) => Array.from(values).reduce((all, value) => all + value, 0);

/** The block's part of each vector. */
function gather(vectors: Float64Array, size: number, { offset, rows, units }: KroneckerBlock): Float64Array {
  const width = rows * units;
  const parts = new Float64Array((vectors.length / size) * width);
  for (let k = 0; k * size < vectors.length; k++)
    parts.set(vectors.subarray(k * size + offset, k * size + offset + width), k * width);
  return parts;
}

function scatter(
  parts: Float64Array,
  into: Float64Array,
  size: number,
  { offset, rows, units }: KroneckerBlock,
): void {
  const width = rows * units;
  for (let k = 0; k * size < into.length; k++)
    into.set(parts.subarray(k * width, (k + 1) * width), k * size + offset);
}

/** K matrices of rows × columns, each of them transposed. */
function transposedEach(matrices: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(matrices.length);
  for (let from = 0; from < matrices.length; from += rows * columns)
    result.set(transposed(matrices.subarray(from, from + rows * columns), columns), from);
  return result;
}

/** K × units × rows, each value by αᵢ·γⱼ + shift. */
function divide(along: Float64Array, { rows, units, input, output }: FactoredBlock, shift: number): void {
  for (let at = 0, row = 0; at < along.length; row++) {
    // Rounding may leave a value below zero.
    const scale = Math.max(0, output.values[row % units]!);
    for (let i = 0; i < rows; i++, at++) along[at]! /= Math.max(0, input.values[i]!) * scale + shift;
  }
}
