/** Runs a program to its end, within a bound. */

import { spawn } from 'node:child_process';
import { delimiter } from 'node:path';

export interface CommandOptions {
  readonly timeoutMs?: number;
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

export interface CommandOutcome {
  /** Undefined when it was ended because its time was up, or by a signal. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

const timeoutMsDefault = 60_000;

/** Also where Debian keeps programs for administrators, which a shell that was not logged in lacks. */
export function searchPath(): string {
  return [process.env['PATH'] ?? '', '/usr/sbin', '/sbin'].filter((part) => part !== '').join(delimiter);
}

/** What it printed; an error with its complaint when it fails. */
export async function run(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await tryRun(program, args, options);
  if (code === 0) return stdout;
  const why = code === undefined ? `did not end within ${options.timeoutMs ?? timeoutMsDefault} ms` : `ended with ${code}`;
  throw new Error(`${program} ${args.join(' ')} ${why}: ${stderr.trim() || stdout.trim()}`);
}

export function tryRun(program: string, args: readonly string[], { timeoutMs = timeoutMsDefault, input, env, cwd }: CommandOptions = {}): Promise<CommandOutcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: timeoutMs, killSignal: 'SIGKILL', env: { ...(env ?? process.env), PATH: searchPath() }, ...(cwd && { cwd }) });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', (cause) => reject(new Error(`cannot run ${program}`, { cause })));
    child.once('close', (code) => resolve({ code: code ?? undefined, stdout, stderr }));
    // A program that ends without reading closes the pipe; its exit code says what there is to say.
    child.stdin.once('error', () => undefined);
    child.stdin.end(input);
  });
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
