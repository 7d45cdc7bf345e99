/** Resolves when this process is asked to end: SIGINT, SIGTERM, or the end of the parent that started it as a child. */
export function askedToStop(): Promise<string> {
  return new Promise((resolve) => {
    const asked = (by: string) => {
      // A pipe that is read keeps the process alive.
      process.stdin.pause();
      resolve(by);
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => asked(signal));
    if (process.env[childOfVariable] === undefined) return;
    // The parent holds the other end of this pipe: even when it is killed, the pipe ends.
    process.stdin.resume();
    process.stdin.once('end', () => asked('the end of the parent process'));
    process.stdin.once('error', () => asked('the end of the parent process'));
  });
}

/** Set for processes that end with their parent. */
export const childOfVariable = 'IHVP_CHILD_OF';
