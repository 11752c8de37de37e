#!/usr/bin/env node
// Runs the project from a bare checkout: `node launcher.mjs <verb>`, behind each npm script.
//
// It is plain JavaScript without dependencies, because it runs on whatever Node the machine has (20 or newer) before
// anything is installed. It makes sure that the installation fits the lockfile, then hands over to the Node 24 that the
// installation carries.

import { runBench, runCluster, runEndToEnd, runShoal, runSimulation, runStart } from './tools/run.mjs';
import { runBuild } from './tools/build.mjs';
import { runCheck, runGenerate } from './tools/check.mjs';
import { runClusterTests, runKubernetesTests, runTests } from './tools/test.mjs';
import { checkoutRoot } from './tools/runtime.mjs';
import { LaunchError, ensureInstalled } from './tools/installation.mjs';

const verbs = {
  start: { run: runStart, does: 'start `shoal standalone`; flags pass through' },
  test: { run: runTests, does: 'run the tests, all or those under the given paths' },
  'test:kubernetes': { run: runKubernetesTests, does: 'run the suites that need a Kubernetes API; builds it once, needs Go' },
  'test:cluster': { run: runClusterTests, does: 'run the suites on whole clusters: failover, restarts; needs Go likewise' },
  'test:sim': { run: runSimulation, does: 'run simulated clusters by seed' },
  check: { run: runCheck, does: 'types, lint, imports between layers, generated code' },
  generate: { run: runGenerate, does: 'write proto/gen from the .proto sources' },
  build: { run: runBuild, does: 'compile, and lay out what the container image holds' },
  cluster: { run: runCluster, does: 'a Kubernetes of three nodes on this machine: up, down, status, load, kubectl' },
  e2e: { run: runEndToEnd, does: 'run the suites with a label on a Kubernetes with nodes, the one of KUBECONFIG or that of cluster' },
  bench: { run: runBench, does: 'run a benchmark by name' },
  shoal: { run: runShoal, does: 'run the command line' },
};

const [name, ...args] = process.argv.slice(2);
const verb = Object.hasOwn(verbs, name ?? '') ? verbs[name] : undefined;
if (verb === undefined) {
  const lines = Object.entries(verbs).map(([known, { does }]) => `  ${known.padEnd(17)}${does}`);
  process.stderr.write(`usage: node launcher.mjs <verb> [arguments]\n\n${lines.join('\n')}\n`);
  process.exit(2);
}
try {
  await ensureInstalled(checkoutRoot);
  process.exitCode = await verb.run(checkoutRoot, args);
} catch (error) {
  if (!(error instanceof LaunchError)) throw error;
  process.stderr.write(`shoal: ${error.message}\n`);
  process.exitCode = 1;
}
