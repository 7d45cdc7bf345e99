import type { Architecture } from './model.js';
import { parameterLayout } from './model.js';
import { resolveLayers, sizeOf } from './shapes.js';

/** A kernel and its bias, whose part of the curvature matrix is about Ω ⊗ Γ (K-FAC; of convolutions, KFC). */
export interface KroneckerBlock {
  /** The layer: `layer0`. */
  name: string;
  /** Where its parameters begin in θ: `rows` × `units` values, a row for each value of a window and, last, one for the bias. */
  offset: number;
  rows: number;
  /** Or filters. */
  units: number;
  bias: boolean;
  /** Places where the kernel is applied to a row of data: 1 for a dense layer on vectors. */
  positions: number;
}

/** The kernels that have Kronecker factors: of dense layers, of convolutions, and the pointwise ones of separable convolutions. */
export function kroneckerBlocks(network: Architecture): KroneckerBlock[] {
  const offsets = new Map(parameterLayout(network).slices.map((slice) => [slice.name, slice.offset]));
  return resolveLayers(network).flatMap(({ name, outputShape, parameters }) => {
    const kernel = parameters.find(({ part }) => part === 'kernel' || part === 'pointwise_kernel');
    if (kernel === undefined) return [];
    const bias = parameters.some(({ part }) => part === 'bias');
    const units = kernel.shape.at(-1)!;
    return [
      {
        ...{ name, units, bias },
        offset: offsets.get(`${name}/${kernel.part}`)!,
        rows: sizeOf(kernel.shape) / units + (bias ? 1 : 0),
        positions: sizeOf(outputShape) / units,
      },
    ];
  });
}

/** Values of the factors of all blocks, one after the other: Ω, rows × rows, then Γ, units × units. */
export const kroneckerWidth = (blocks: readonly KroneckerBlock[]) =>
  blocks.reduce((sum, { rows, units }) => sum + rows ** 2 + units ** 2, 0);

/** Parameters that have Kronecker factors. */
export const factoredParameters = (blocks: readonly KroneckerBlock[]) =>
  blocks.reduce((sum, { rows, units }) => sum + rows * units, 0);
