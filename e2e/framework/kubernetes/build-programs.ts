/** Builds what the Kubernetes suites start, unless it is in the cache; ends with 1 and the reason when that cannot be done. */

import { kubernetesProgram, kubernetesPrograms } from './binaries.ts';

try {
  for (const program of kubernetesPrograms) await kubernetesProgram(program);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
