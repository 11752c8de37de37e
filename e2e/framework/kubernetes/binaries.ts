/**
 * The programs of a Kubernetes control plane, built from Go modules (`build/`) because that needs no registry of images.
 * The first build takes minutes and goes into a cache outside the checkout, named by what it is made of; later runs find it.
 *
 *     ~/.cache/shoal-e2e/<hash of the go.mod and go.sum files and the flags>/kube-apiserver, etcd
 */

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const modules = join(import.meta.dirname, 'build');
const kubernetesVersion = 'v1.34.4';
const versionPackage = 'k8s.io/component-base/version';

/** Each program with the folder of its module, its main package, and what the linker is told. */
const programs = {
  etcd: { module: 'etcd', package: 'go.etcd.io/etcd/server/v3', variables: [] },
  'kube-apiserver': {
    module: 'kubernetes',
    package: 'k8s.io/kubernetes/cmd/kube-apiserver',
    variables: [`${versionPackage}.gitVersion=${kubernetesVersion}`, `${versionPackage}.gitMajor=1`, `${versionPackage}.gitMinor=34`],
  },
} as const;
export type Program = keyof typeof programs;

/** The path of a program; builds it first where it is not in the cache. */
export async function kubernetesProgram(program: Program): Promise<string> {
  const directory = cacheDirectory();
  const path = join(directory, program);
  if (existsSync(path)) return path;
  mkdirSync(directory, { recursive: true });
  await build(program, path);
  return path;
}

export const kubernetesPrograms = Object.keys(programs) as readonly Program[];

function cacheDirectory(): string {
  const hash = createHash('sha256').update(JSON.stringify(programs));
  for (const module of new Set(Object.values(programs).map(({ module }) => module))) {
    for (const file of ['go.mod', 'go.sum']) hash.update(readFileSync(join(modules, module, file)));
  }
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(cache, 'shoal-e2e', hash.digest('hex').slice(0, 16));
}

async function build(program: Program, path: string): Promise<void> {
  const { module, package: main, variables } = programs[program];
  const cwd = join(modules, module);
  const go = goCommand();
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOWORK: 'off' };
  say(`building ${program}, once, into ${path}; this takes minutes`);
  const startedMs = performance.now();
  // Two builders at once only waste time: each writes a file of its own, and the last renaming wins.
  const fresh = `${path}.${process.pid}`;
  const packageCount = await countPackages(go, main, cwd, env);
  const flags = ['-v', '-trimpath', '-buildvcs=false', '-ldflags', ['-s', '-w', ...variables.map((variable) => `-X ${variable}`)].join(' ')];
  const child = spawn(go, ['build', ...flags, '-o', fresh, main], { cwd, env, stdio: ['ignore', 'ignore', 'pipe'] });
  const lastLines: string[] = [];
  let built = 0;
  // -v names each package as it is compiled; those that Go has in its own cache are not named.
  for await (const line of createInterface(child.stderr)) {
    if (/^[\w./~-]+$/.test(line)) {
      if (++built % 100 === 0) say(`  ${program}: ${built} of at most ${packageCount} packages, ${seconds(startedMs)} s`);
    } else {
      lastLines.push(line);
      if (lastLines.length > 30) lastLines.shift();
    }
  }
  const code = child.exitCode ?? (await new Promise<number | null>((resolve) => child.once('exit', resolve)));
  if (code !== 0) throw new Error(`building ${program} with ${go} failed:\n${lastLines.join('\n')}`);
  renameSync(fresh, path);
  say(`built ${program} in ${seconds(startedMs)} s`);
}

/** Also downloads what is missing, so that the build itself reads from disk alone. */
async function countPackages(go: string, main: string, cwd: string, env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(go, ['list', '-deps', main], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
  let count = 0;
  for await (const _ of createInterface(child.stdout)) count++;
  return count;
}

function goCommand(): string {
  for (const go of ['go', '/usr/local/go/bin/go']) {
    const { status, stdout } = spawnSync(go, ['env', 'GOVERSION'], { encoding: 'utf8' });
    if (status !== 0) continue;
    const [, major = '0', minor = '0'] = /^go(\d+)\.(\d+)/.exec(stdout) ?? [];
    if (Number(major) > 1 || Number(minor) >= 24) return go;
    throw new Error(`${go} is ${stdout.trim()}; the Kubernetes suites need Go 1.24 or newer: https://go.dev/doc/install`);
  }
  throw new Error(
    'The Kubernetes suites build kube-apiserver and etcd from source, and there is no Go on this machine.\n' +
      'Install Go 1.24 or newer (https://go.dev/doc/install) and have `go` in the PATH, then run this again.',
  );
}

function seconds(sinceMs: number): string {
  return ((performance.now() - sinceMs) / 1_000).toFixed(0);
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
