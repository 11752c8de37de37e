/** How the commands of this folder end: what each failure prints, and its exit code. */

import { ClusterError } from './cluster-error.ts';

/** The command line is wrong: shown with the help. */
export class UsageError extends Error {}

/** Runs `main`, whose result is the exit code; 1: it failed, 2: wrong usage. */
export async function enter(main: (args: string[]) => Promise<number>, help: string): Promise<void> {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n\n${help}\n`);
      process.exitCode = 2;
    } else {
      process.stderr.write(error instanceof ClusterError ? `shoal: ${error.message}\n` : `${(error as Error).stack}\n`);
      process.exitCode = 1;
    }
  }
}
