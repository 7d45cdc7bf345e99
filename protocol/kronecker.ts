import type { Architecture } from './model.js';
import { parameterLayout } from './model.js';
import { resolveLayers, sizeOf } from './shapes.js';

/** A dense layer, z = aᵀW + c, whose part of the curvature matrix is about Ā ⊗ Ḡ (K-FAC). */
export interface KroneckerBlock {
  /** The layer: `layer0`. */
  name: string;
  /** Where its parameters begin in θ: `rows` × `units` values, a row for each input and, last, one for the bias. */
  offset: number;
  rows: number;
  units: number;
  bias: boolean;
}

/** The layers that have Kronecker factors: those of type dense that see one position a row. */
export function kroneckerBlocks(network: Architecture): KroneckerBlock[] {
  const offsets = new Map(parameterLayout(network).slices.map((slice) => [slice.name, slice.offset]));
  return resolveLayers(network).flatMap(({ name, layer, inputShapes, parameters }) => {
    const [input] = inputShapes;
    if (layer.type !== 'dense' || sizeOf(input!) !== input!.at(-1)) return [];
    const bias = parameters.length > 1;
    const offset = offsets.get(`${name}/${parameters[0]!.part}`)!;
    return [{ name, offset, rows: input!.at(-1)! + (bias ? 1 : 0), units: layer.units, bias }];
  });
}

/** Values of the factors of all blocks, one after the other: Ā, rows × rows, then Ḡ, units × units. */
export const kroneckerWidth = (blocks: readonly KroneckerBlock[]) =>
  blocks.reduce((sum, { rows, units }) => sum + rows ** 2 + units ** 2, 0);

/** Parameters that have Kronecker factors. */
export const factoredParameters = (blocks: readonly KroneckerBlock[]) =>
  blocks.reduce((sum, { rows, units }) => sum + rows * units, 0);
