import type { Operator } from './types.js';

interface Waiting {
  index: number;
  block: Float64Array;
  resolve: (product: Float64Array) => void;
  reject: (reason: unknown) => void;
}

/**
 * Runs `count` recursions of one vector side by side. Each is given an operator of its own; once all that still run
 * wait for a product, these go as one block, so that the recursions share passes over the data although each makes
 * its own decisions.
 */
export async function lockstep<T>(
  operator: Operator,
  count: number,
  run: (own: Operator, index: number) => Promise<T>,
): Promise<T[]> {
  const { size } = operator;
  let waiting: Waiting[] = [];
  let running = count;
  const goOn = () => {
    if (running === 0 || waiting.length < running) return;
    const now = waiting.sort((a, b) => a.index - b.index);
    waiting = [];
    const block = new Float64Array(now.length * size);
    now.forEach((one, k) => block.set(one.block, k * size));
    operator.multiply(block, now.length).then(
      (product) => now.forEach((one, k) => one.resolve(product.slice(k * size, (k + 1) * size))),
      (reason: unknown) => now.forEach((one) => one.reject(reason)),
    );
  };
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const own: Operator = {
        size,
        multiply: (block) =>
          new Promise((resolve, reject) => {
            waiting.push({ index, block, resolve, reject });
            goOn();
          }),
      };
      try {
        return await run(own, index);
      } finally {
        running -= 1;
        goOn();
      }
    }),
  );
}
