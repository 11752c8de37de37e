// The verbs that hand over to a program of the project.

import { runInPlace } from './child.mjs';
import { runtimeEnvironment, runtimePath, serverEnvironment, serverFlags } from './runtime.mjs';

// Node 24.0 calls type stripping experimental; 24.21 does not. Same output on both.
const nodeFlags = ['--disable-warning=ExperimentalWarning'];

/** As the image starts it (build.mjs). */
const asServer = { flags: [...nodeFlags, ...serverFlags], environment: serverEnvironment };

export function runStart(root, args) {
  return runProgram(root, root, 'shoal.ts', ['standalone', ...args], asServer);
}

/** The command line, in the directory in which it was typed: npm has gone to the package's own. */
export function runShoal(root, args) {
  const typedIn = process.env.npm_lifecycle_event === 'shoal' ? process.env.INIT_CWD : undefined;
  return runProgram(root, typedIn ?? process.cwd(), 'shoal.ts', args, asServer);
}

/** The client's own pauses, 50 ms without the flag, would be in the latencies that it measures. */
export function runBench(root, args) {
  return runProgram(root, root, 'e2e/bench/main.ts', args, { flags: asServer.flags, environment: {} });
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

function runProgram(root, directory, program, args, { flags, environment } = { flags: nodeFlags, environment: {} }) {
  return runInPlace(runtimePath(root), [...flags, `${root}/${program}`, ...args], { cwd: directory, env: { ...environment, ...runtimeEnvironment(root) } });
}
