// The verbs that hand over to a program of the project.

import { runInPlace } from './child.mjs';
import { runtimeEnvironment, runtimePath } from './runtime.mjs';

// Node 24.0 calls type stripping experimental; 24.21 does not. Same output on both.
const nodeFlags = ['--disable-warning=ExperimentalWarning'];
// A young generation that is collected in a few milliseconds (docs/adr/0021); the image has it from its environment.
const quickCollections = [...nodeFlags, '--max-semi-space-size=8'];

export function runStart(root, args) {
  return runProgram(root, root, 'shoal.ts', ['standalone', ...args], quickCollections);
}

/** The command line, in the directory in which it was typed: npm has gone to the package's own. */
export function runShoal(root, args) {
  const typedIn = process.env.npm_lifecycle_event === 'shoal' ? process.env.INIT_CWD : undefined;
  return runProgram(root, typedIn ?? process.cwd(), 'shoal.ts', args, quickCollections);
}

/** The client's own pauses, 50 ms without the flag, would be in the latencies that it measures. */
export function runBench(root, args) {
  return runProgram(root, root, 'e2e/bench/main.ts', args, quickCollections);
}

/** The test cluster. */
export function runCluster(root, args) {
  return runProgram(root, root, 'e2e/cluster/main.ts', args);
}

export function runEndToEnd(root, args) {
  return runProgram(root, root, 'e2e/cluster/run-suites.ts', args);
}

export function runSimulation(root, args) {
  return runProgram(root, root, 'e2e/sim/main.ts', args);
}

function runProgram(root, directory, program, args, flags = nodeFlags) {
  return runInPlace(runtimePath(root), [...flags, `${root}/${program}`, ...args], { cwd: directory, env: runtimeEnvironment(root) });
}
