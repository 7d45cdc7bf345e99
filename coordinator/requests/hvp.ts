import type { z } from 'zod';
import type { hvpRequestSchema } from '../../protocol/requests.js';
import { checkFinite } from '../../protocol/vectors.js';
import type { Context, Outcome } from './context.js';
import { rightHandSides } from './right-hand-sides.js';

/** (H + λI)·V for the request's vectors. @throws NotFiniteError where float32 cannot hold them on the way */
export async function hvp(request: z.infer<typeof hvpRequestSchema>, context: Context): Promise<Outcome> {
  const { block, count } = await rightHandSides(context);
  context.stage('product');
  const values = await context.operator.multiply(block, count);
  for (let i = 0; i < values.length; i++) values[i]! += request.damping * block[i]!;
  checkFinite({ values, count, size: context.operator.size });
  return {
    status: 'done',
    advice: 'nothing to do',
    vectors: { file: 'product.arrow', values, count },
    report: { damping: request.damping },
  };
}
