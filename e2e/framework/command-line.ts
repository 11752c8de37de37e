/** Runs the `shoal` command line, or any other program, as a child process and takes what it printed. */

import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { checkout, cleanEnvironment, type ServerProcess } from './server-process.ts';
import { timeoutsMs, within } from './timeouts.ts';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `shoal <args>`, aimed at the server when there is one. */
export function runShoal(args: readonly string[], server?: ServerProcess): Promise<Outcome> {
  return outcomeOf(`shoal ${args.join(' ')}`, spawnShoal(args, server));
}

export function spawnShoal(args: readonly string[], server?: ServerProcess): ChildProcess {
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(checkout, 'shoal.ts'), ...args], {
    env: { ...cleanEnvironment(), ...(server === undefined ? {} : { SHOAL_ADDRESS: server.grpcAddress, SHOAL_API_KEY: server.key }) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

export function runProgram(program: string, args: readonly string[]): Promise<Outcome> {
  return outcomeOf(`${program} ${args.join(' ')}`, spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: cleanEnvironment() }));
}

export async function outcomeOf(what: string, child: ChildProcess): Promise<Outcome> {
  let stdout = '';
  let stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  try {
    return { code: await within(timeoutsMs.command, what, ended), stdout, stderr };
  } finally {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }
}
