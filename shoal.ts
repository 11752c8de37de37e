/**
 * The program. It looks at the first word only and loads the one main that serves it, so that the command line starts
 * fast and never loads a native module.
 */

import { readFileSync } from 'node:fs';

const usage = `usage: shoal <command> [options]

  standalone                               serve everything from this process
  collection create|list|get|update|delete
  points upsert|get|delete|scroll|count
  search
  import, export
  key create|list|delete
  backup, restore, verify
  status

  shoal <command> --help                   what a command takes
  shoal --version
`;

const [command, ...rest] = process.argv.slice(2);

if (command === undefined || command === '--help' || command === '-h' || command === 'help') {
  (command === undefined ? process.stderr : process.stdout).write(usage);
  process.exitCode = command === undefined ? 2 : 0;
} else if (command === '--version' || command === '-V') {
  process.stdout.write(`${version()}\n`);
} else if (command === 'standalone') {
  const { main } = await import('./pods/standalone/main.ts');
  process.exitCode = await main(rest);
} else {
  const { main } = await import('./pods/cli/main.ts');
  process.exitCode = await main([command, ...rest]);
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8')) as { version: string };
  return manifest.version;
}
