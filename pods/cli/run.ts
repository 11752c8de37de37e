/** Reads a command line, runs its command, prints its error, and gives the exit code. */

import { CommanderError, type Command } from 'commander';
import { buildProgram } from './commands/program.ts';
import { exitCodeOf, exitCodes, failureLine, failureOf, UsageError } from './exit-codes.ts';
import type { OfflineTools } from './offline-tools.ts';
import type { OutputFormat, Terminal } from './terminal.ts';

/** Resolves to the exit code; never rejects for what a user, a file or a server did. */
export async function runCommandLine(argv: readonly string[], terminal: Terminal, offlineTools: OfflineTools): Promise<number> {
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
