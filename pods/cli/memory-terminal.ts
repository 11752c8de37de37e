/** For tests: a terminal whose output is text, and a function that runs a command line on it. */

import { Readable, Writable } from 'node:stream';
import { systemClock } from '../kernel/clock.ts';
import { systemRandom } from '../kernel/random.ts';
import type { OfflineTools } from './offline-tools.ts';
import { runCommandLine } from './run.ts';
import type { Terminal } from './terminal.ts';

export interface CommandResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const noTools: OfflineTools = { restoreBackup: () => Promise.reject(new Error('not here')), verifyDirectory: () => Promise.reject(new Error('not here')) };

export async function runForTest(
  argv: readonly string[],
  options: { stdin?: string; environment?: Terminal['environment']; signal?: AbortSignal; tools?: Partial<OfflineTools> } = {},
): Promise<CommandResult> {
  const texts = { out: '', err: '' };
  const sink = (name: 'out' | 'err'): Writable =>
    new Writable({
      write(chunk, _, done) {
        texts[name] += String(chunk);
        done();
      },
    });
  const terminal: Terminal = {
    stdin: Readable.from([Buffer.from(options.stdin ?? '')]),
    stdout: sink('out'),
    stderr: sink('err'),
    interactive: false,
    environment: options.environment ?? {},
    clock: systemClock,
    random: systemRandom,
    signal: options.signal ?? new AbortController().signal,
  };
  const code = await runCommandLine(argv, terminal, { ...noTools, ...options.tools });
  return { code, ...texts };
}
