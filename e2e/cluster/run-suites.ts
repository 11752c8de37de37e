/**
 * `npm run e2e`: runs the suites that carry a label, on the cluster that is there. Without KUBECONFIG that is one of
 * `npm run cluster`, which is brought up, or mended, and given the image of the working tree first.
 *
 * A suite names its labels in a line of its own: `// Labels: core, smoke`.
 */

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { ClusterError } from './cluster-error.ts';
import { enter, UsageError } from './command-entry.ts';
import { defaultClusterName } from './description.ts';
import { load } from './load.ts';
import { withLock } from './state.ts';
import { up } from './up.ts';

const help = `usage: npm run e2e -- [--label LABEL]… [SUITE]… [--list]

Runs suites against a cluster: the one of KUBECONFIG, else that of npm run cluster, which is brought up first.

  --label LABEL   suites that carry it; several times, or comma-separated, for more
  SUITE           by name: smoke for smoke.test.ts
  --list          say which suites there are, with their labels, and run none
  --as-is         take the cluster and the image on it as they are

ends with 0 when all passed, 1 when something failed, 2 when the command line is wrong`;

const suitesDirectory = join(import.meta.dirname, 'suites');
const suiteTimeoutMs = 60 * 60_000;

interface Suite {
  readonly name: string;
  readonly file: string;
  readonly labels: readonly string[];
}

async function main(args: readonly string[]): Promise<number> {
  const options = { label: { type: 'string', multiple: true }, list: { type: 'boolean' }, 'as-is': { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const;
  const { values, positionals } = parse(() => parseArgs({ args: [...args], options, allowPositionals: true }));
  if (values.help === true) {
    process.stdout.write(`${help}\n`);
    return 0;
  }
  const suites = readSuites();
  const chosen = choose(suites, values.label?.flatMap((label) => label.split(',')) ?? [], positionals);
  if (values.list === true) {
    for (const { name, labels } of chosen) process.stdout.write(`${name.padEnd(24)} ${labels.join(', ')}\n`);
    return 0;
  }
  const { KUBECONFIG: kubeconfig = '', SHOAL_CLUSTER: clusterName = defaultClusterName } = process.env;
  if (kubeconfig === '' && values['as-is'] !== true) await withLock(clusterName, async () => load(await up(clusterName), undefined));
  return runSuites(chosen);
}

function readSuites(): Suite[] {
  return readdirSync(suitesDirectory)
    .filter((file) => file.endsWith('.test.ts'))
    .sort()
    .map((file) => {
      const [, labels] = /^\/\/ Labels: (.+)$/m.exec(readFileSync(join(suitesDirectory, file), 'utf8')) ?? [];
      if (labels === undefined) throw new ClusterError(`${file} names no labels: it needs a line "// Labels: …"`);
      return { name: basename(file, '.test.ts'), file: join(suitesDirectory, file), labels: labels.split(',').map((label) => label.trim()) };
    });
}

/** All of them when nothing is asked for. */
function choose(suites: readonly Suite[], labels: readonly string[], names: readonly string[]): readonly Suite[] {
  for (const name of names) if (!suites.some((suite) => suite.name === name)) throw new UsageError(`there is no suite ${name}; there are ${suites.map((suite) => suite.name).join(', ')}`);
  const known = [...new Set(suites.flatMap((suite) => suite.labels))].sort();
  for (const label of labels) if (!known.includes(label)) throw new UsageError(`no suite carries the label ${label}; there are ${known.join(', ')}`);
  if (labels.length === 0 && names.length === 0) return suites;
  return suites.filter((suite) => names.includes(suite.name) || suite.labels.some((label) => labels.includes(label)));
}

/** One after another: each may take nodes away from the others. */
function runSuites(suites: readonly Suite[]): Promise<number> {
  const flags = ['--disable-warning=ExperimentalWarning', '--test', '--test-reporter=spec', '--test-concurrency=1', `--test-timeout=${suiteTimeoutMs}`];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, ...suites.map(({ file }) => relative(process.cwd(), file))], { stdio: 'inherit' });
    // Ctrl-C reaches the tests by the terminal; they undo their faults, and then it is our turn.
    process.on('SIGINT', () => undefined);
    process.on('SIGTERM', () => child.kill('SIGTERM'));
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

function parse<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

await enter(main, help);
