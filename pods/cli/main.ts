/** The client commands of `shoal`. Reads the command line, runs one command, prints its error, and gives the exit code. */

import { CommanderError, type Command } from 'commander';
import { systemClock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { systemRandom } from '../kernel/random.ts';
import { buildProgram } from './commands/program.ts';
import { exitCodeOf, exitCodes, failureLine, failureOf, InterruptedError, UsageError } from './exit-codes.ts';
import type { OfflineTools } from './offline-tools.ts';
import type { OutputFormat, Terminal } from './terminal.ts';

const noOfflineTools: OfflineTools = {
  restoreBackup: () => Promise.reject(new ShoalError('UNIMPLEMENTED', 'this program has no code for data directories')),
  verifyDirectory: () => Promise.reject(new ShoalError('UNIMPLEMENTED', 'this program has no code for data directories')),
};

/** `argv` is what follows `shoal`. Resolves to the exit code; standard output may still be draining. */
export async function main(argv: readonly string[], offlineTools: OfflineTools = noOfflineTools): Promise<number> {
  const interruption = new AbortController();
  const onSignal = (): void => {
    if (interruption.signal.aborted) process.exit(exitCodes.partial);
    interruption.abort(new InterruptedError('interrupted'));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
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
    return await run(argv, terminal, offlineTools);
  } finally {
    clearInterval(alive);
    process.removeListener('SIGINT', onSignal);
    process.removeListener('SIGTERM', onSignal);
  }
}

async function run(argv: readonly string[], terminal: Terminal, offlineTools: OfflineTools): Promise<number> {
  const output = outputFormatOf(argv);
  const program = buildProgram({ terminal, offlineTools });
  for (const command of [program, ...descendants(program)]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => void terminal.stdout.write(text),
      // The help of a group that was named without a command. Errors are printed below, in one line.
      writeErr: (text) => void (output === 'table' && terminal.stderr.write(text)),
      outputError: () => undefined,
    });
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCodes.done;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done;
    const shown = error instanceof CommanderError ? usageOf(error) : error;
    terminal.stderr.write(`${failureLine(failureOf(shown), output)}\n`);
    return exitCodeOf(shown);
  }
}

/** What commander says, without its prefix. */
function usageOf(error: CommanderError): UsageError {
  // A group of commands that was named without one of them.
  if (error.code === 'commander.help') return new UsageError('a command is missing');
  return new UsageError(error.message.replace(/^error: /, '').replaceAll('\n', ' '));
}

function descendants(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...descendants(child)]);
}

/** Read before the rest is: an error in the rest is printed in this form too. */
function outputFormatOf(argv: readonly string[]): OutputFormat {
  const index = argv.findLastIndex((word) => word === '--output' || word.startsWith('--output='));
  const value = argv[index]?.startsWith('--output=') ? argv[index].slice('--output='.length) : argv[index + 1];
  return index !== -1 && value === 'json' ? 'json' : 'table';
}
