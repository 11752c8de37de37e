/**
 * The program. It looks at the first word only and loads the one main that serves it, so that the command line starts
 * fast and never loads a native module.
 */

import { programVersion } from './pods/kernel/version.ts';

const [command, ...rest] = process.argv.slice(2);

if (command === '--version' || command === '-V') {
  process.stdout.write(`${programVersion()}\n`);
} else if (command === 'standalone') {
  const { main } = await import('./pods/standalone/main.ts');
  process.exitCode = await main(rest);
} else if (command === 'gateway') {
  const { main } = await import('./pods/gateway/main.ts');
  process.exitCode = await main(rest);
} else if (command === 'pod') {
  const { main } = await import('./pods/service/main.ts');
  process.exitCode = await main(rest);
} else if (command === 'operator') {
  const { main } = await import('./operator/main.ts');
  process.exitCode = await main(rest);
} else if (command === 'job') {
  const { main } = await import('./operator/jobs/main.ts');
  process.exitCode = await main(rest);
} else if (command === 'failover-controller') {
  const { main } = await import('./pods/controller/main.ts');
  process.exitCode = await main(rest);
} else {
  const { main } = await import('./pods/cli/main.ts');
  process.exitCode = await main(process.argv.slice(2), {
    restoreBackup: async (request) => (await import('./pods/standalone/offline.ts')).restoreBackup(request),
    verifyDirectory: async (request) => (await import('./pods/standalone/offline.ts')).verifyDirectory(request),
  });
}
