/** Builds what the suites start that need the Kubernetes API alone, unless it is in the cache; ends with 1 and the reason when that cannot be done. */

import { apiPrograms, kubernetesProgram } from './binaries.ts';

try {
  for (const program of apiPrograms) await kubernetesProgram(program);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
