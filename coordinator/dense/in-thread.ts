import { Piscina } from 'piscina';

/** Runs tasks in a thread of their own, which ends with them: the coordinator's own thread keeps its heartbeats. */
export async function inThread<Result>(
  file: URL,
  tasks: readonly object[],
  signal: AbortSignal,
): Promise<Result[]> {
  const pool = new Piscina({ filename: file.href, minThreads: 1, maxThreads: 1, atomics: 'disabled' });
  try {
    return await Promise.all(tasks.map((task) => pool.run(task, { signal }) as Promise<Result>));
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    await pool.destroy();
  }
}
