import type { Child } from '../../cli/child-process.js';
import type { TestFarm } from './farm.js';

const pauseMs = 25;

/**
 * Runs `work` while one worker after the other is stopped (SIGSTOP) for a moment, so that their answers reach the
 * coordinator in changing orders. Returns the orders in which the workers' blocks with the same number were seen.
 */
export async function pausedInTurn(
  farm: TestFarm,
  workers: readonly Child[],
  work: () => Promise<void>,
): Promise<Set<string>> {
  const { nc, names } = farm.client;
  const seen = new Map<string, string[]>();
  const subscription = nc.subscribe(names.blocks('*').sent, {
    callback: (_, message) => {
      const [worker, operator] = message.subject.split('.').at(-2)!.split('-');
      if (operator === undefined) return; // the coordinator's own broadcast
      const key = `${operator} ${message.headers?.get('Ihvp-Block')}`;
      seen.set(key, [...(seen.get(key) ?? []), worker!]);
    },
  });
  let done = false;
  const pausing = (async () => {
    for (let turn = 0; !done; turn++) {
      const { pid } = workers[turn % workers.length]!;
      process.kill(pid, 'SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      process.kill(pid, 'SIGCONT');
    }
  })();
  try {
    await work();
  } finally {
    done = true;
    await pausing;
    subscription.unsubscribe();
  }
  return new Set([...seen.values()].map((order) => order.join(' ')));
}
