/** The client commands of `shoal`, on this process's streams and signals. */

import { systemClock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { systemRandom } from '../kernel/random.ts';
import { exitCodes, InterruptedError } from './exit-codes.ts';
import type { OfflineTools } from './offline-tools.ts';
import { runCommandLine } from './run.ts';
import type { Terminal } from './terminal.ts';

const noOfflineTools: OfflineTools = {
  restoreBackup: () => Promise.reject(new ShoalError('UNIMPLEMENTED', 'this program has no code for data directories')),
  verifyDirectory: () => Promise.reject(new ShoalError('UNIMPLEMENTED', 'this program has no code for data directories')),
};

/** `argv` is what follows `shoal`. Resolves to the exit code; standard output may still be draining. */
export async function main(argv: readonly string[], offlineTools: OfflineTools = noOfflineTools): Promise<number> {
  // Those of libraries, such as one about the names in TLS at each connection to an IP address, are not the user's to mend.
  process.noDeprecation = true;
  const interruption = new AbortController();
  const onSignal = (): void => {
    if (interruption.signal.aborted) process.exit(exitCodes.partial);
    interruption.abort(new InterruptedError('interrupted'));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  // The reader of a pipe, such as head, may have seen enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? exitCodes.done : exitCodes.failed));
  // Waits between attempts use timers that let a process end.
  const alive = setInterval(() => undefined, 1 << 30);
  const terminal: Terminal = {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    interactive: process.stderr.isTTY === true,
    environment: process.env,
    clock: systemClock,
    random: systemRandom,
    signal: interruption.signal,
  };
  try {
    return await runCommandLine(argv, terminal, offlineTools);
  } finally {
    clearInterval(alive);
    process.removeListener('SIGINT', onSignal);
    process.removeListener('SIGTERM', onSignal);
  }
}
