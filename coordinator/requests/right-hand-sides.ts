import type { Context } from './context.js';

/** The right-hand sides of a request, K × p. */
export async function rightHandSides({
  prepared,
  operator,
  stage,
}: Context): Promise<{ block: Float64Array; count: number }> {
  const { request, rhsDataset, rhsVectors } = prepared;
  if (!('rhs' in request)) throw new Error(`a ${request.type} request has no right-hand sides`);
  const { rhs } = request;
  switch (rhs.kind) {
    case 'ones':
      return { block: new Float64Array(operator.size).fill(1), count: 1 };
    case 'vectors':
      return { block: rhsVectors!.values, count: rhsVectors!.count };
    case 'gradient':
      stage(`gradients of ${rhs.rows.length} rows of ${rhs.dataset}`);
      return { block: await operator.rowGradients(rhsDataset!, rhs.rows), count: rhs.rows.length };
  }
}
