import { Command, type CommanderError } from 'commander';
import { BadRequestError, IhvpError, toWire } from '../../protocol/errors.js';
import { toJson } from './output.js';

/** How long an ended command may still hold a connection or timer before it is cut off. */
const lingerMilliseconds = 2000;

export interface Failure {
  stream: 'stdout' | 'stderr';
  text: string;
  exitCode: 1 | 2;
}

/**
 * What a failed command prints and its exit status: 2 for bad usage, else 1. For people on standard error. With
 * `--json` as `{"error":{"code","message","hint"?,"details"?}}` on standard output, where a program that reads one
 * document awaits the result; the stack trace (`--debug`) is on standard error in both cases.
 */
export function describeFailure(error: unknown, options: { json?: boolean }): Failure {
  const wire = toWire(error);
  const exitCode = error instanceof BadRequestError ? 2 : 1;
  if (options.json) return { stream: 'stdout', text: toJson({ error: wire }), exitCode };
  const hint =
    wire.hint ??
    (error instanceof IhvpError ? undefined : 'this was not foreseen: --debug shows where it happened');
  const text = `error [${wire.code}]: ${wire.message}${hint === undefined ? '' : `\n→ ${hint}`}`;
  return { stream: 'stderr', text, exitCode };
}

/**
 * A commander action whose errors end the command as `describeFailure` says. `--json` and `--debug` may be options
 * of the command or of any above it.
 */
export function run<Words extends unknown[]>(
  action: (...words: Words) => void | Promise<void>,
): (...words: Words) => Promise<void> {
  return async (...words) => {
    quietBrokenPipe();
    try {
      await action(...words);
    } catch (error) {
      const command = words.at(-1);
      const options = command instanceof Command ? command.optsWithGlobals() : {};
      const failure = describeFailure(error, { json: options.json === true });
      process[failure.stream].write(`${failure.text}\n`);
      if (options.debug === true && error instanceof Error) process.stderr.write(`${error.stack}\n`);
      process.exitCode = failure.exitCode;
      setTimeout(() => process.exit(), lingerMilliseconds).unref();
    }
  };
}

/**
 * Usage errors that commander itself finds look and end as all others do. `path` is what the user types for the
 * command. Subcommands inherit it, unless they are given a path of their own.
 */
export function exitOnUsage(command: Command, path = command.name()): Command {
  const failure = (text: string) =>
    describeFailure(
      new BadRequestError(text.trim().replace(/^error: /, ''), { hint: `see \`${path} --help\`` }),
      { json: process.argv.includes('--json') },
    );
  return command
    .configureOutput({
      outputError: (text) => {
        const { stream, text: shown } = failure(text);
        process[stream].write(`${shown}\n`);
      },
    })
    .exitOverride(({ exitCode }: CommanderError) => process.exit(exitCode === 0 ? 0 : 2));
}

let quiet = false;

/** `ihvp … | head` closes our standard output: nobody wants the rest, which is no failure. */
function quietBrokenPipe(): void {
  if (quiet) return;
  quiet = true;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
}
