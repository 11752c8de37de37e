/**
 * The programs of a Kubernetes cluster, built from Go modules (`build/`) because that needs no registry of images. The first
 * build of each takes minutes and goes into a cache outside the checkout, named by what it is made of; later runs find it.
 *
 *     ~/.cache/shoal-e2e/kube-apiserver-<hash of its module's files and its flags>/kube-apiserver
 */

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir, setPriority } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

const modules = join(import.meta.dirname, 'build');
const kubernetesVersion = 'v1.34.4';
const versionPackage = 'k8s.io/component-base/version';

/** A program of a Go module. */
export interface Source {
  /** Folder of its module, from `build/`. */
  readonly module: string;
  /** Its main package. */
  readonly package: string;
  /** What the linker is told. */
  readonly variables: readonly string[];
  /** Files of the main package's module that are kept beside the program. */
  readonly files?: readonly string[];
}

const ofKubernetes = (name: string): Source => ({
  module: 'kubernetes',
  package: `k8s.io/kubernetes/cmd/${name}`,
  variables: [`${versionPackage}.gitVersion=${kubernetesVersion}`, `${versionPackage}.gitMajor=1`, `${versionPackage}.gitMinor=34`],
});

const programs = {
  etcd: { module: 'etcd', package: 'go.etcd.io/etcd/server/v3', variables: [] },
  'kube-apiserver': ofKubernetes('kube-apiserver'),
  'kube-controller-manager': ofKubernetes('kube-controller-manager'),
  'kube-scheduler': ofKubernetes('kube-scheduler'),
  kubelet: ofKubernetes('kubelet'),
  'kube-proxy': ofKubernetes('kube-proxy'),
  kubectl: ofKubernetes('kubectl'),
  coredns: { module: 'coredns', package: '.', variables: [] },
  'local-path-provisioner': { module: 'local-path-provisioner', package: 'github.com/rancher/local-path-provisioner', variables: [] },
  contour: { module: 'contour', package: 'github.com/projectcontour/contour/cmd/contour', variables: [], files: ['examples/contour/01-crds.yaml'] },
  helm: { module: 'helm', package: 'helm.sh/helm/v3/cmd/helm', variables: [] },
  pause: { module: 'pause', package: '.', variables: [] },
} as const satisfies Readonly<Record<string, Source>>;
export type Program = keyof typeof programs;

/** What suites need that use the Kubernetes API without any node; helm renders what they install. */
export const apiPrograms: readonly Program[] = ['etcd', 'kube-apiserver', 'helm'];

/** What a cluster with nodes needs, the slowest to build first. */
export const clusterPrograms = Object.keys(programs).sort((a, b) => Number(b === 'kubelet') - Number(a === 'kubelet')) as readonly Program[];

/** The path of a program; builds it first where it is not in the cache. */
export function kubernetesProgram(program: Program): Promise<string> {
  return goProgram(program, programs[program]);
}

/** The same for a program that is no part of a cluster. */
export async function goProgram(name: string, source: Source): Promise<string> {
  const path = programPath(name, source);
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true });
    await build(name, source, path);
  }
  return path;
}

/** Path of a file that is kept beside a program. */
export function fileBeside(programPath: string, file: string): string {
  return join(dirname(programPath), basename(file));
}

export function isBuilt(program: Program): boolean {
  return existsSync(programPath(program, programs[program]));
}

/** The hash is over the program's own row and module, so that a change of one program leaves the others in the cache. */
function programPath(program: string, source: Source): string {
  const hash = createHash('sha256').update(JSON.stringify(source));
  const module = join(modules, source.module);
  for (const file of readdirSync(module).sort()) {
    if (/^go\.(mod|sum)$|\.go$/.test(file)) hash.update(`\0${file}\0`).update(readFileSync(join(module, file)));
  }
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(cache, 'shoal-e2e', `${program}-${hash.digest('hex').slice(0, 16)}`, program);
}

async function build(program: string, source: Source, path: string): Promise<void> {
  const { module, package: main, variables, files = [] } = source;
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
  // Whatever else the machine does comes first.
  if (child.pid !== undefined) setPriority(child.pid, 5);
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
  if (files.length > 0) {
    const { stdout } = spawnSync(go, ['list', '-f', '{{.Module.Dir}}', main], { cwd, env, encoding: 'utf8' });
    for (const file of files) {
      writeFileSync(fileBeside(path, file), readFileSync(join(stdout.trim(), file)));
    }
  }
  renameSync(fresh, path);
  say(`built ${program} in ${seconds(startedMs)} s`);
}

/** Also downloads what is missing, so that the build itself reads from disk alone. Go fetches a newer toolchain itself where a module asks for one. */
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
    'The Kubernetes suites build Kubernetes from source, and there is no Go on this machine.\n' +
      'Install Go 1.24 or newer (https://go.dev/doc/install) and have `go` in the PATH, then run this again.',
  );
}

function seconds(sinceMs: number): string {
  return ((performance.now() - sinceMs) / 1_000).toFixed(0);
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
