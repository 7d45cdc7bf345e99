import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { BrokerError } from '../../protocol/errors.js';
import { findIn, pathFolders } from './find.js';
import { plannedCommands, planInstall } from './install-plan.js';
import type { Machine } from './install-plan.js';

export type Say = (line: string) => void;

/** Installs nats-server with the machine's package manager. Throws `BrokerError` whose hint is the line to type. */
export async function installServer(say: Say): Promise<void> {
  const plan = planInstall(await thisMachine());
  if (plan.kind === 'by-hand')
    throw new BrokerError(`nats-server is not installed: ${plan.reason}`, { hint: plan.byHand });

  say('nats-server is not on this machine; installing it with the package manager');
  let output = '';
  for (const { command, optional } of plan.steps) {
    say(`$ ${command.join(' ')}`);
    const ended = await run(command);
    output += ended.output;
    if (ended.status === 0) continue;
    if (optional) {
      say(`  exit status ${ended.status}; going on without it`);
      continue;
    }
    output.split('\n').forEach((line) => say(`  ${line}`));
    throw new BrokerError(`\`${command.join(' ')}\` failed with exit status ${ended.status}`, {
      hint: plan.byHand,
    });
  }
}

async function thisMachine(): Promise<Machine> {
  const folders = [...pathFolders(process.env), '/usr/sbin', '/sbin', '/opt/homebrew/bin', '/usr/local/bin'];
  const commands = new Set(plannedCommands.filter((name) => findIn(folders, name) !== undefined));
  const root = process.getuid?.() === 0;
  return {
    platform: process.platform,
    distribution: existsSync('/etc/os-release')
      ? distributionIds(readFileSync('/etc/os-release', 'utf8'))
      : [],
    commands,
    root,
    sudoWithoutPassword: !root && commands.has('sudo') && (await run(['sudo', '-n', 'true'])).status === 0,
    systemd: existsSync('/run/systemd/system'),
  };
}

/** `ID` then `ID_LIKE` of an os-release file, see os-release(5). */
export function distributionIds(osRelease: string): string[] {
  const value = (key: string) =>
    new RegExp(`^${key}=["']?([^"'\\n]*)`, 'm').exec(osRelease)?.[1]?.split(' ') ?? [];
  return [...value('ID'), ...value('ID_LIKE')].filter((id) => id !== '');
}

function run([program, ...words]: readonly string[]): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(program!, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const collect = (chunk: Buffer) => (output += chunk.toString());
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', (error) => resolve({ status: 127, output: `${output}${error.message}\n` }));
    child.once('close', (code) => resolve({ status: code ?? 1, output }));
  });
}
