// The verb `test`: node:test over all test files, or those under the paths given. Its summary is the last thing printed.
// The verbs `test:kubernetes` and `test:cluster`: the suites that need a real Kubernetes API, and those that run a whole
// cluster on one. `test` leaves them out unless they are named.

import { readdirSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

import { runInPlace } from './child.mjs';
import { LaunchError } from './installation.mjs';
import { runtimeEnvironment, runtimePath } from './runtime.mjs';

const testRoots = ['tools', 'proto', 'pods', 'operator', 'e2e', 'shoal.test.ts'];
const kubernetesSuites = 'e2e/suites/kubernetes';
const clusterSuites = 'e2e/suites/cluster';
const skippedNames = new Set(['node_modules', 'gen', 'fixtures']);
/** They need a cluster that is up. */
const endToEndSuites = 'e2e/cluster/suites';
const skippedPaths = new Set([kubernetesSuites, clusterSuites, endToEndSuites]);
const isTestFile = (name) => name.endsWith('.test.ts') || name.endsWith('.test.mjs');

/** No test may hang a run; each has its own, much smaller, bounds. */
const testTimeoutMs = 20 * 60_000;

/** `args`: files and directories to run, and options of node's test runner. */
export function runTests(root, args, { concurrency = 2, timeoutMs = testTimeoutMs } = {}) {
  const options = args.filter((arg) => arg.startsWith('-'));
  const files = testFiles(root, args.filter((arg) => !arg.startsWith('-')));
  const flags = ['--disable-warning=ExperimentalWarning', '--test', '--test-reporter=spec', `--test-concurrency=${concurrency}`, `--test-timeout=${timeoutMs}`];
  return runInPlace(runtimePath(root), [...flags, ...options, ...files], { cwd: root, env: runtimeEnvironment(root) });
}

export function runKubernetesTests(root, args) {
  return runWithKubernetes(root, args, kubernetesSuites, {});
}

/**
 * One suite after another: each has the machine to itself, as its figures of outages need. `--minutes` and `--seed` are for
 * the suite of faults, which has them from the environment as suites do.
 */
export function runClusterTests(root, args) {
  const { rest, values } = takeValues(args, ['--minutes', '--seed']);
  if (values['--minutes'] !== undefined) process.env.SHOAL_CHAOS_MINUTES = values['--minutes'];
  if (values['--seed'] !== undefined) process.env.SHOAL_SEED = values['--seed'];
  const minutes = Number(process.env.SHOAL_CHAOS_MINUTES ?? 0);
  return runWithKubernetes(root, rest, clusterSuites, { concurrency: 1, timeoutMs: testTimeoutMs + minutes * 60_000 });
}

/** Options that have a value, `--name value` or `--name=value`, and the arguments without them. */
function takeValues(args, names) {
  const values = {};
  const rest = [];
  for (let i = 0; i < args.length; i++) {
    const [name, value] = args[i].split('=', 2);
    if (names.includes(name)) values[name] = value ?? args[++i];
    else rest.push(args[i]);
  }
  return { rest, values };
}

/** Builds the programs first, so that suites that run at the same time do not all begin to. */
async function runWithKubernetes(root, args, suites, how) {
  const build = ['--disable-warning=ExperimentalWarning', join(root, 'e2e/framework/kubernetes/build-programs.ts')];
  const code = await runInPlace(runtimePath(root), build, { cwd: root, env: runtimeEnvironment(root) });
  if (code !== 0) return code;
  return runTests(root, args.some((arg) => !arg.startsWith('-')) ? args : [...args, suites], how);
}

export function testFiles(root, paths) {
  const starts = paths.length > 0 ? paths : testRoots;
  const files = [];
  for (const start of starts) {
    const path = resolve(root, start);
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) {
      if (paths.length > 0) throw new LaunchError(`no such file or directory: ${start}`);
    } else if (found.isDirectory()) {
      collect(root, path, files);
    } else {
      files.push(path);
    }
  }
  if (files.length === 0) throw new LaunchError(`no test files in ${starts.join(', ')}`);
  return files.map((file) => relative(root, file));
}

function collect(root, directory, files) {
  const entries = readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) {
      if (!skippedNames.has(entry.name) && !skippedPaths.has(relative(root, path))) collect(root, path, files);
    } else if (isTestFile(entry.name)) {
      files.push(path);
    }
  }
}
