/** What decides how nats-server gets onto a machine. */
export interface Machine {
  platform: NodeJS.Platform;
  /** `ID` and `ID_LIKE` of /etc/os-release, most specific first; empty elsewhere. */
  distribution: readonly string[];
  /** Programs among `plannedCommands` that the machine has. */
  commands: ReadonlySet<string>;
  root: boolean;
  /** `sudo -n` works: no password is asked for. */
  sudoWithoutPassword: boolean;
  /** systemd runs this machine (not so in most containers). */
  systemd: boolean;
}

export interface Step {
  command: readonly string[];
  /** Go on when it fails: what follows can succeed without it. */
  optional?: true;
}

export type InstallPlan =
  | { kind: 'run'; steps: readonly Step[]; byHand: string }
  | { kind: 'by-hand'; reason: string; byHand: string };

/** Programs whose presence the plan asks about. */
export const plannedCommands = [
  'apt-get',
  'dnf',
  'apk',
  'pacman',
  'brew',
  'sudo',
  'doas',
  'systemctl',
] as const;

interface Manager {
  program: string;
  distributions: readonly string[];
  steps: readonly Step[];
  needsRoot: boolean;
}

const managers: readonly Manager[] = [
  {
    program: 'apt-get',
    distributions: ['debian', 'ubuntu'],
    steps: [
      { command: ['apt-get', '-o', 'DPkg::Lock::Timeout=120', 'update'], optional: true },
      {
        command: [
          ...['env', 'DEBIAN_FRONTEND=noninteractive'],
          ...['apt-get', '-o', 'DPkg::Lock::Timeout=120', 'install', '--yes', '--no-install-recommends'],
          'nats-server',
        ],
      },
    ],
    needsRoot: true,
  },
  {
    program: 'dnf',
    distributions: ['fedora'],
    steps: [{ command: ['dnf', 'install', '--assumeyes', 'nats-server'] }],
    needsRoot: true,
  },
  {
    program: 'apk',
    distributions: ['alpine'],
    steps: [{ command: ['apk', 'add', '--no-cache', 'nats-server'] }],
    needsRoot: true,
  },
  {
    program: 'pacman',
    distributions: ['arch'],
    steps: [{ command: ['pacman', '-Sy', '--noconfirm', '--needed', 'nats-server'] }],
    needsRoot: true,
  },
];

const homebrew: Manager = {
  program: 'brew',
  distributions: [],
  steps: [{ command: ['brew', 'install', 'nats-server'] }],
  needsRoot: false,
};

const releases = 'https://github.com/nats-io/nats-server/releases';

/** How to install nats-server on `machine`, or the one line that its user must type. */
export function planInstall(machine: Machine): InstallPlan {
  const manager =
    machine.platform === 'darwin'
      ? homebrew
      : managers.find(({ distributions }) => machine.distribution.some((id) => distributions.includes(id)));
  if (!manager || !machine.commands.has(manager.program))
    return {
      kind: 'by-hand',
      reason: `no known package manager carries nats-server on this machine (${machine.distribution[0] ?? machine.platform})`,
      byHand:
        machine.platform === 'darwin'
          ? 'install Homebrew from https://brew.sh, then: brew install nats-server'
          : `put the nats-server program from ${releases} on the PATH, or set IHVP_NATS_URL to a running server`,
    };

  const steps = withoutService(manager, machine);
  const byHand = byHandLine(manager, machine);
  if (!manager.needsRoot || machine.root) return { kind: 'run', steps, byHand };
  if (!machine.sudoWithoutPassword)
    return {
      kind: 'by-hand',
      reason: `${manager.program} needs root, and there is no sudo without a password`,
      byHand,
    };
  return {
    kind: 'run',
    steps: steps.map((step) => ({ ...step, command: ['sudo', '-n', ...step.command] })),
    byHand,
  };
}

/**
 * Debian's package starts a server on 0.0.0.0:4222 without authentication and enables it for every boot.
 * Its maintainer script starts no masked unit, and a runtime mask is gone at the next boot whatever happens.
 */
function withoutService(manager: Manager, machine: Machine): readonly Step[] {
  if (manager.program !== 'apt-get' || !machine.systemd || !machine.commands.has('systemctl'))
    return manager.steps;
  const systemctl = (...words: string[]): Step => ({
    command: ['systemctl', ...words, 'nats-server.service'],
    optional: true,
  });
  return [
    systemctl('mask', '--runtime'),
    ...manager.steps,
    systemctl('unmask', '--runtime'),
    systemctl('disable'),
  ];
}

function byHandLine(manager: Manager, machine: Machine): string {
  const line =
    manager.program === 'apt-get'
      ? ['apt-get update', 'apt-get install -y nats-server']
      : manager.steps.map(({ command }) => command.join(' '));
  if (!manager.needsRoot || machine.root) return line.join(' && ');
  const elevate = ['sudo', 'doas'].find((program) => machine.commands.has(program));
  return elevate
    ? line.map((command) => `${elevate} ${command}`).join(' && ')
    : `su -c "${line.join(' && ')}"`;
}
