import type { Operator } from './types.js';
import { addScaled, norm, row } from './vectors.js';

/** H + λI, with λ added in float64. */
export function withDamping(operator: Operator, damping: number): Operator {
  return {
    size: operator.size,
    async multiply(block, count) {
      const product = await operator.multiply(block, count);
      if (damping !== 0) addScaled(product, damping, block);
      return product;
    },
  };
}

/** v − A·s for `count` columns, by one product, and ‖v − A·s‖ / ‖v‖ of each (0 where v = 0 and s = 0). */
export async function residualsOf(
  operator: Operator,
  rightHandSides: Float64Array,
  solutions: Float64Array,
  count: number,
): Promise<{ block: Float64Array; relative: number[] }> {
  const block = await operator.multiply(solutions, count);
  for (let i = 0; i < block.length; i += 1) block[i] = rightHandSides[i]! - block[i]!;
  const relative = Array.from({ length: count }, (_, k) => {
    const residual = norm(row(block, k, operator.size));
    return residual === 0 ? 0 : residual / norm(row(rightHandSides, k, operator.size));
  });
  return { block, relative };
}

/** Makes an answer zero, and its residual 1, where its residual is not below that: none that is worse is handed out. */
export function dropUseless(solutions: Float64Array, relative: number[], size: number): void {
  for (const [k, residual] of relative.entries())
    if (!(residual < 1)) {
      row(solutions, k, size).fill(0);
      relative[k] = 1;
    }
}
