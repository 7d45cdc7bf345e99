import type { Operations } from './operations.js';

/** n × a × b × c to n × b × a × c. */
export function exchange<T>(ops: Pick<Operations<T>, 'shape' | 'transpose'>, tensor: T): T {
  const [, a, b] = ops.shape(tensor);
  return a === 1 || b === 1 ? tensor : ops.transpose(tensor, [0, 2, 1, 3]);
}
