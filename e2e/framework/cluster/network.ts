/**
 * A network of its own for each process of a cluster, so that any of them can be cut off from any other, in one direction
 * or both, while connections stay as they are: packets vanish.
 *
 *   pod-0 ─┐                      Each process is in a network namespace, joined by a veth pair to a namespace that routes
 *   pod-1 ─┼── router ── machine  between them all. The machine itself, where the API server and the clients are, joins by
 *   …     ─┘                      one more pair. A cut is a rule of the router: "from A to B: blackhole".
 *
 * Nothing of it leaves the machine. Needs Linux, root and the programs `ip` (iproute2) and `nsenter` (util-linux).
 */

import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';
import type { TestContext } from 'node:test';
import { atEnd } from '../cleanup.ts';

/** How cuts call the machine, where the API server and the clients are. */
export const machine = 'machine';

export interface ClusterNetwork {
  /** Of a process by its name, or of `machine`. */
  addressOf(name: string): string;
  /** A program and its arguments that run another one where the process of this name belongs. */
  enter(name: string): readonly string[];
  /** From now on nothing that `from` sends arrives at `to`; what `to` sends arrives at `from`. Twice cut needs twice healed. */
  cut(ways: readonly Way[]): Promise<void>;
  heal(ways: readonly Way[]): Promise<void>;
}

export interface Way {
  readonly from: string;
  readonly to: string;
}

/** 198.18.0.0/15 is set aside for tests of networks (RFC 2544), so nobody else's addresses are in it. */
const prefix = '198.18';
const namespaceName = /^shoal-(\d+)-/;
const namespacesDirectory = '/run/netns';

export async function startNetwork(t: TestContext, names: readonly string[]): Promise<ClusterNetwork> {
  mustBeAble();
  removeThoseOfDeadProcesses();
  const places = new Map([machine, ...names].map((name, i) => [name, placeOf(name, i)]));
  const router = `shoal-${process.pid}-router`;
  const inRouter = ['nsenter', `--net=${namespacesDirectory}/${router}`];
  const net = await freeNet();
  const subnet = subnetOf(net);
  const addressOf = (name: string): string => `${prefix}.${net}.${place(name).number * 4 + 2}`;
  const gatewayOf = (name: string): string => `${prefix}.${net}.${place(name).number * 4 + 1}`;
  function place(name: string): Place {
    const found = places.get(name);
    if (found === undefined) throw new Error(`${name} is not in this network`);
    return found;
  }

  const undo = (): void => removeNamespaces([router, ...[...places.values()].flatMap(({ namespace }) => namespace ?? [])]);
  process.once('exit', undo);
  // Ctrl-C ends this process by its exit, so that the children end too.
  const end = (): never => process.exit(130);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, end);
  atEnd(t, () => {
    process.off('exit', undo);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, end);
    undo();
  });

  await run('ip', ['netns', 'add', router]);
  for (const [name, { namespace, outer, inner }] of places) {
    if (namespace !== undefined) await run('ip', ['netns', 'add', namespace]);
    const inside = namespace === undefined ? [] : ['nsenter', `--net=${namespacesDirectory}/${namespace}`];
    await run('ip', ['link', 'add', inner, ...(namespace === undefined ? [] : ['netns', namespace]), 'type', 'veth', 'peer', 'name', outer, 'netns', router]);
    await batch(inRouter, [`addr add ${gatewayOf(name)}/30 dev ${outer}`, `link set ${outer} up`]);
    await batch(inside, [
      `addr add ${addressOf(name)}/30 dev ${inner}`,
      `link set ${inner} up`,
      ...(namespace === undefined ? [`route add ${subnet} via ${gatewayOf(name)}`] : ['link set lo up', `route add default via ${gatewayOf(name)}`]),
    ]);
  }
  await run(inRouter[0]!, [...inRouter.slice(1), 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);

  /** How many faults want each rule. */
  const cuts = new Map<string, number>();
  const rule = ({ from, to }: Way): string => `from ${addressOf(from)} to ${addressOf(to)} blackhole`;
  return {
    addressOf,
    enter: (name) => ['nsenter', `--net=${namespacesDirectory}/${place(name).namespace}`],
    async cut(ways) {
      const fresh = ways.map(rule).filter((text) => {
        const count = cuts.get(text) ?? 0;
        cuts.set(text, count + 1);
        return count === 0;
      });
      await batch(inRouter, fresh.map((text) => `rule add ${text}`));
    },
    async heal(ways) {
      const over = ways.map(rule).filter((text) => {
        const count = cuts.get(text)! - 1;
        cuts.set(text, count);
        return count === 0;
      });
      await batch(inRouter, over.map((text) => `rule del ${text}`));
    },
  };
}

/** Both ways between `name` and each of the others. */
export function bothWays(name: string, others: readonly string[]): Way[] {
  return others.flatMap((other) => [{ from: name, to: other }, { from: other, to: name }]);
}

interface Place {
  readonly number: number;
  /** Undefined for the machine. */
  readonly namespace: string | undefined;
  /** Names of the two ends of the pair: at the router, and in the namespace. At most 15 characters. */
  readonly outer: string;
  readonly inner: string;
}

function placeOf(name: string, number: number): Place {
  const namespace = name === machine ? undefined : `shoal-${process.pid}-${name}`;
  return { number, namespace, outer: `to-${number}`, inner: namespace === undefined ? `shoal${process.pid}` : 'veth0' };
}

/** One of 256 that no other suite of this machine has now. */
async function freeNet(): Promise<number> {
  const first = randomInt(256);
  for (let i = 0; i < 256; i++) {
    const net = (first + i) % 256;
    if ((await run('ip', ['route', 'show', subnetOf(net)])) === '') return net;
  }
  throw new Error(`all of ${prefix}.0.0/16 is in use`);
}

function subnetOf(net: number): string {
  return `${prefix}.${net}.0/24`;
}

function mustBeAble(): void {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) throw new Error('this suite cuts processes off in network namespaces: it needs Linux and root');
  for (const [program, debianPackage] of [['ip', 'iproute2'], ['nsenter', 'util-linux']] as const) {
    try {
      execFileSync(program, ['-V'], { stdio: 'ignore' });
    } catch (cause) {
      throw new Error(`this suite cuts processes off in network namespaces: it needs the program ${program}; install ${debianPackage} (Debian: apt-get install ${debianPackage})`, { cause });
    }
  }
}

/** What a run that was killed with -9 left. */
function removeThoseOfDeadProcesses(): void {
  if (!existsSync(namespacesDirectory)) return;
  const left = readdirSync(namespacesDirectory).filter((name) => {
    const pid = namespaceName.exec(name)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  });
  removeNamespaces(left);
}

/** With them go the veth pairs that have an end in them, once no process is in them any more. */
function removeNamespaces(namespaces: readonly string[]): void {
  for (const namespace of namespaces) {
    if (!existsSync(`${namespacesDirectory}/${namespace}`)) continue;
    try {
      execFileSync('ip', ['netns', 'del', namespace], { stdio: 'ignore' });
    } catch {
      process.stderr.write(`could not remove network namespace ${basename(namespace)}\n`);
    }
  }
}

function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout: 10_000 }, (error, stdout, stderr) => {
      if (error !== null) reject(new Error(`${program} ${args.join(' ')}: ${stderr.trim() || error.message}`));
      else resolve(stdout.trim());
    });
  });
}

/** Commands of `ip`, all at once. */
function batch(under: readonly string[], commands: readonly string[]): Promise<void> {
  const [program, ...args] = [...under, 'ip', '-batch', '-'];
  return new Promise((resolve, reject) => {
    const child = spawn(program!, args, { stdio: ['pipe', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`ip: ${errors.trim()} in\n${commands.join('\n')}`))));
    child.stdin.end(`${commands.join('\n')}\n`);
  });
}
