/** What a machine must have for a cluster. What is missing is said with what to install; Debian packages are installed where that can be done. */

import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ClusterError } from './cluster-error.ts';
import { run, say, searchPath, tryRun } from './command.ts';

interface Requirement {
  /** A program, or the path of a file. */
  readonly needs: string;
  readonly debianPackage: string;
}

export const requirements: readonly Requirement[] = [
  { needs: 'containerd', debianPackage: 'containerd' },
  { needs: 'ctr', debianPackage: 'containerd' },
  { needs: 'runc', debianPackage: 'runc' },
  { needs: '/usr/lib/cni/bridge', debianPackage: 'containernetworking-plugins' },
  { needs: 'ip', debianPackage: 'iproute2' },
  { needs: 'iptables', debianPackage: 'iptables' },
  { needs: 'conntrack', debianPackage: 'conntrack' },
  { needs: '/bin/busybox', debianPackage: 'busybox-static' },
  { needs: 'nsenter', debianPackage: 'util-linux' },
  { needs: 'openssl', debianPackage: 'openssl' },
  { needs: 'tar', debianPackage: 'tar' },
  { needs: 'python3', debianPackage: 'python3' },
];

const installTimeoutMs = 5 * 60_000;

/** Without these nothing can be done at all. */
export function mustBeRoot(): void {
  if (process.platform !== 'linux') throw new ClusterError('a cluster of network namespaces and containers needs Linux; elsewhere set KUBECONFIG to a cluster that is there (docs/install.md)');
  if (process.getuid?.() !== 0) throw new ClusterError('a cluster makes network namespaces, mounts and containers: run this as root, or set KUBECONFIG to a cluster that is there (docs/install.md)');
}

export async function ensurePrerequisites(): Promise<void> {
  mustBeRoot();
  const packages = missingPackages();
  if (packages.length === 0) return;
  if (!isThere('apt-get')) throw new ClusterError(`missing: ${missing().join(', ')}; install them (on Debian they are in ${packages.join(' ')})`);
  say(`installing ${packages.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  // A list of packages that is old or empty is no reason to give up yet.
  const { code, stderr } = await tryRun('apt-get', ['update', '-qq'], { env, timeoutMs: installTimeoutMs });
  if (code !== 0) say(`apt-get update: ${stderr.trim()}`);
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env, timeoutMs: installTimeoutMs }).catch((cause: unknown) => {
    throw new ClusterError(`${(cause as Error).message}\nInstall them yourself: apt-get install ${packages.join(' ')}`, { cause });
  });
  const still = missing();
  if (still.length > 0) throw new ClusterError(`still missing after the installation of ${packages.join(' ')}: ${still.join(', ')}`);
}

function missing(): string[] {
  return requirements.map(({ needs }) => needs).filter((needs) => !isThere(needs));
}

function missingPackages(): string[] {
  return [...new Set(requirements.filter(({ needs }) => !isThere(needs)).map(({ debianPackage }) => debianPackage))];
}

function isThere(needs: string): boolean {
  if (needs.startsWith('/')) return existsSync(needs);
  return searchPath().split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, needs), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
