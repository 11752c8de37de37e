/** The command line of the test cluster: `npm run cluster -- up`. */

import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { kubernetesProgram, type Program } from '../framework/kubernetes/binaries.ts';
import { ClusterError } from './cluster-error.ts';
import { enter, UsageError } from './command-entry.ts';
import { say } from './command.ts';
import { defaultClusterName, isClusterName, type Cluster } from './description.ts';
import { down } from './down.ts';
import { load } from './load.ts';
import { findCluster, withLock } from './state.ts';
import { readStatus, statusText } from './status.ts';
import { up } from './up.ts';

const help = `usage: npm run cluster -- <command> [--name NAME] [options]

A Kubernetes of three nodes on this machine, for tests: needs Linux, root, Go and Debian's containerd (installed where it is
missing). The first \`up\` builds what it runs, for many minutes; what is built is kept in ~/.cache/shoal-e2e.

  up                 bring it up, or mend what is missing
  down               take it down and remove all that it made
  status             what runs, and where it is reached; ends with 3 when it is not all there
  load [--tag TAG]   build the project's image from the working tree and bring it onto the nodes
  kubectl ARGUMENTS  kubectl as administrator
  helm ARGUMENTS     helm as administrator

options, before the arguments of kubectl and helm
  --name NAME        which cluster, when there are several (default: ${defaultClusterName}, or SHOAL_CLUSTER)
  --tag TAG          of the image that is loaded (default: the version in package.json)
  --output json      of status: for programs
  --help             this text

ends with 0 when it is done, 1 when it failed, 2 when the command line is wrong`;

async function main(args: readonly string[]): Promise<number> {
  // What follows these two words is theirs, options too.
  const handOver = args.findIndex((arg) => arg === 'kubectl' || arg === 'helm');
  const own = handOver < 0 ? args : args.slice(0, handOver + 1);
  const { values, positionals } = parseOwn(own);
  if (values.help === true) {
    process.stdout.write(`${help}\n`);
    return 0;
  }
  const [command, ...rest] = positionals;
  if (command === undefined) throw new UsageError('which command?');
  if (rest.length > 0) throw new UsageError(`unexpected: ${rest.join(' ')}`);
  const name = values.name ?? process.env['SHOAL_CLUSTER'] ?? defaultClusterName;
  if (!isClusterName(name)) throw new UsageError(`--name ${name}: lower-case letters, digits and dashes, at most 20, a letter first`);
  if (values.tag !== undefined && !/^[\w][\w.-]{0,127}$/.test(values.tag)) throw new UsageError(`--tag ${values.tag}: letters, digits, dots, dashes and underscores, at most 128`);
  if (values.output !== undefined && values.output !== 'json') throw new UsageError(`--output ${values.output}: only json`);
  switch (command) {
    case 'up': {
      const cluster = await withLock(name, () => up(name));
      process.stdout.write(`${statusText(await readStatus(cluster))}\n`);
      return 0;
    }
    case 'down': {
      const was = await withLock(name, () => down(name));
      say(was ? `cluster ${name} is gone` : `there is no cluster ${name}`);
      return 0;
    }
    case 'status': {
      const cluster = findCluster(name);
      if (cluster === undefined) {
        process.stdout.write(values.output === 'json' ? `${JSON.stringify({ name, state: 'absent' })}\n` : `there is no cluster ${name}\n`);
        return 3;
      }
      const status = await readStatus(cluster);
      process.stdout.write(`${values.output === 'json' ? JSON.stringify(status, undefined, 2) : statusText(status)}\n`);
      return status.state === 'ready' ? 0 : 3;
    }
    case 'load': {
      const cluster = mustBeThere(name);
      process.stdout.write(`${await withLock(name, () => load(cluster, values.tag))}\n`);
      return 0;
    }
    case 'kubectl':
    case 'helm':
      return handTo(command, mustBeThere(name), args.slice(handOver + 1));
    default:
      throw new UsageError(`no such command: ${command}`);
  }
}

function parseOwn(args: readonly string[]): { values: { name?: string; output?: string; tag?: string; help?: boolean }; positionals: string[] } {
  try {
    const options = { name: { type: 'string' }, output: { type: 'string', short: 'o' }, tag: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function mustBeThere(name: string): Cluster {
  const cluster = findCluster(name);
  if (cluster === undefined) throw new ClusterError(`there is no cluster ${name}; npm run cluster -- up makes it`);
  return cluster;
}

async function handTo(program: Program, cluster: Cluster, args: readonly string[]): Promise<number> {
  const path = await kubernetesProgram(program);
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { stdio: 'inherit', env: { ...process.env, KUBECONFIG: cluster.kubeconfig }, cwd: process.env['INIT_CWD'] ?? process.cwd() });
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

await enter(main, help);
