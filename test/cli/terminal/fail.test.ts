import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { describeFailure } from '../../../cli/terminal/fail.js';
import { BadRequestError, BrokerError } from '../../../protocol/errors.js';

const absent = new BrokerError('no server at nats://localhost', {
  hint: 'start one: ihvp up',
  details: { port: 1 },
});

describe('describeFailure', () => {
  it('describeFailure: code, message and hint on standard error', () => {
    expect(describeFailure(absent, {})).toEqual({
      stream: 'stderr',
      text: 'error [broker]: no server at nats://localhost\n→ start one: ihvp up',
      exitCode: 1,
    });
  });

  it('describeFailure: bad usage is 2', () => {
    expect(describeFailure(new BadRequestError('--scale is 0'), {})).toMatchObject({
      text: 'error [bad-request]: --scale is 0',
      exitCode: 2,
    });
  });

  it('describeFailure: with --json one document on standard output', () => {
    const { stream, text } = describeFailure(absent, { json: true });
    expect(stream).toBe('stdout');
    expect(JSON.parse(text)).toEqual({
      error: {
        code: 'broker',
        message: 'no server at nats://localhost',
        hint: 'start one: ihvp up',
        details: { port: 1 },
      },
    });
  });

  it('describeFailure: an unforeseen error says how to see more', () => {
    expect(describeFailure(new TypeError('x is undefined'), {}).text).toMatch(
      /\[internal\]: x is undefined\n→ .*--debug/,
    );
  });
});

/** The exit status and output of a small command built with commander and `run`. */
async function command(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const compiled = (path: string) => JSON.stringify(new URL(`../../../${path}`, import.meta.url).href);
  const code = `
    import { Command } from 'commander';
    import { exitOnUsage, run } from ${compiled('cli/terminal/fail.js')};
    import { BadRequestError } from ${compiled('protocol/errors.js')};
    const program = exitOnUsage(new Command('ihvp')).option('--json').option('--debug');
    program.command('bad').action(run(() => { throw new BadRequestError('no such scale'); }));
    program.command('hang').action(run(() => { setInterval(() => {}, 1000); throw new Error('held'); }));
    program.command('many').action(run(async () => {
      for (let i = 0; i < 100000; i++) {
        process.stdout.write('line\\n');
        if (i % 1000 === 0) await new Promise(setImmediate);
      }
    }));
    await program.parseAsync(process.argv.slice(1), { from: 'user' });`;
  const node = [process.execPath, '--input-type=module', '-e', code, '--', ...words];
  const [program, ...rest] = words[0] === 'many' ? ['sh', '-c', '"$@" | head -1', 'sh', ...node] : node;
  try {
    return { code: 0, ...(await promisify(execFile)(program!, rest)) };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}

describe('run', () => {
  it('run: the error and exit status 2, the stack trace only with --debug', async () => {
    const plain = await command('bad');
    expect(plain).toMatchObject({ code: 2, stdout: '', stderr: 'error [bad-request]: no such scale\n' });
    expect((await command('--debug', 'bad')).stderr).toMatch(/\n +at /);
  });

  it('run: --json above the command is seen', async () => {
    const { code, stdout, stderr } = await command('--json', 'bad');
    expect([code, JSON.parse(stdout), stderr]).toEqual([
      2,
      { error: { code: 'bad-request', message: 'no such scale' } },
      '',
    ]);
  });

  it('run: a failed command ends although something still holds it', async () => {
    expect(await command('hang')).toMatchObject({ code: 1 });
  });

  it('run: a reader that goes away is no failure', async () => {
    expect(await command('many')).toMatchObject({ code: 0, stdout: 'line\n', stderr: '' });
  });

  it('exitOnUsage: an unknown command or option is bad usage, help is not', async () => {
    expect((await command('wrong')).code).toBe(2);
    expect((await command('bad', '--wrong')).code).toBe(2);
    expect((await command('--help')).code).toBe(0);
  });
});
