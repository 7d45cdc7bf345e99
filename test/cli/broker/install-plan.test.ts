import { describe, expect, it } from '@jest/globals';
import { distributionIds } from '../../../cli/broker/install.js';
import { planInstall } from '../../../cli/broker/install-plan.js';
import type { Machine } from '../../../cli/broker/install-plan.js';

const debian: Machine = {
  platform: 'linux',
  distribution: ['debian'],
  commands: new Set(['apt-get']),
  root: true,
  sudoWithoutPassword: false,
  systemd: false,
};
const lines = (machine: Machine) => {
  const plan = planInstall(machine);
  return plan.kind === 'run' ? plan.steps.map(({ command }) => command.join(' ')) : plan;
};

describe('planInstall', () => {
  it('planInstall: Debian as root updates the lists, then installs without questions', () => {
    expect(lines(debian)).toEqual([
      'apt-get -o DPkg::Lock::Timeout=120 update',
      'env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends nats-server',
    ]);
  });

  it('planInstall: a user with sudo runs every step through sudo -n', () => {
    const machine = {
      ...debian,
      root: false,
      sudoWithoutPassword: true,
      commands: new Set(['apt-get', 'sudo']),
    };
    const plan = planInstall(machine);
    expect(plan.kind).toBe('run');
    if (plan.kind === 'run')
      for (const { command } of plan.steps) expect(command.slice(0, 2)).toEqual(['sudo', '-n']);
  });

  it("planInstall: where systemd runs, the package's service is masked before and disabled after", () => {
    const systemd = { ...debian, systemd: true, commands: new Set(['apt-get', 'systemctl']) };
    const steps = lines(systemd) as string[];
    expect(steps[0]).toBe('systemctl mask --runtime nats-server.service');
    expect(steps.slice(-2)).toEqual([
      'systemctl unmask --runtime nats-server.service',
      'systemctl disable nats-server.service',
    ]);
  });

  it('planInstall: without root the user gets the one line for this machine', () => {
    const user = { ...debian, root: false };
    const byHand = (commands: string[]) => planInstall({ ...user, commands: new Set(commands) }).byHand;
    expect(byHand(['apt-get', 'sudo'])).toBe('sudo apt-get update && sudo apt-get install -y nats-server');
    expect(byHand(['apt-get'])).toBe('su -c "apt-get update && apt-get install -y nats-server"');
    expect(planInstall(user).kind).toBe('by-hand');
  });

  it.each([
    ['fedora', 'dnf', 'dnf install --assumeyes nats-server'],
    ['alpine', 'apk', 'apk add --no-cache nats-server'],
    ['arch', 'pacman', 'pacman -Sy --noconfirm --needed nats-server'],
  ])('planInstall: %s uses %s', (id, program, line) => {
    expect(lines({ ...debian, distribution: [id], commands: new Set([program]) })).toEqual([line]);
  });

  it('planInstall: Homebrew runs as the user', () => {
    const mac: Machine = {
      ...debian,
      platform: 'darwin',
      distribution: [],
      root: false,
      commands: new Set(['brew']),
    };
    expect(lines(mac)).toEqual(['brew install nats-server']);
    expect(planInstall({ ...mac, commands: new Set() })).toMatchObject({ kind: 'by-hand' });
  });

  it('planInstall: an unknown machine is told where the program is', () => {
    expect(planInstall({ ...debian, distribution: ['plan9'] })).toMatchObject({
      kind: 'by-hand',
      byHand: expect.stringContaining('IHVP_NATS_URL') as unknown,
    });
  });
});

describe('distributionIds', () => {
  it('distributionIds: ID first, then the ones it is like, quoted or not', () => {
    expect(
      distributionIds('NAME="Linux Mint"\nID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="21"\n'),
    ).toEqual(['linuxmint', 'ubuntu', 'debian']);
    expect(distributionIds('PRETTY_NAME=x\nVERSION_ID=12\nID=debian\n')).toEqual(['debian']);
  });
});
