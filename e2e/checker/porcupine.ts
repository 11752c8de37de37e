/**
 * Runs the Go program of `e2e/checker/porcupine` over a history. It is built on first use into a cache outside the checkout,
 *
 *   ~/.cache/shoal-e2e/porcupine-<hash of its sources>/porcupine
 *
 * which takes Go and, the first time, its module proxy.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Operation } from './history.ts';
import { porcupineLines } from './porcupine-file.ts';

const sourceDirectory = fileURLToPath(new URL('./porcupine/', import.meta.url));
const sources = ['go.mod', 'go.sum', 'main.go'];
const buildTimeoutMs = 10 * 60_000;
const runTimeoutMs = 10 * 60_000;

export interface PorcupineReport {
  readonly ids: number;
  readonly operations: number;
  readonly ok: number;
  readonly illegal: readonly string[];
  readonly undecided: readonly string[];
}

export async function goIsThere(): Promise<boolean> {
  return (await run('go', ['version'])).code === 0;
}

/** Judges each id by itself. */
export async function judgeWithPorcupine(operations: readonly Operation[]): Promise<PorcupineReport> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-porcupine-'));
  try {
    const file = join(directory, 'history.jsonl');
    await writeFile(file, porcupineLines(operations));
    return await judgeFileWithPorcupine(file);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The same for a file in the form of `porcupine-file.ts`. */
export async function judgeFileWithPorcupine(file: string): Promise<PorcupineReport> {
  const { code, stdout, stderr } = await run(await builtProgram(), [file], { timeoutMs: runTimeoutMs });
  if (stdout === '') throw new Error(`porcupine ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as PorcupineReport;
}

/** The path of the program. */
async function builtProgram(): Promise<string> {
  const hash = createHash('sha256');
  for (const source of sources) hash.update(await readFile(join(sourceDirectory, source)));
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'shoal-e2e', `porcupine-${hash.digest('hex').slice(0, 16)}`);
  const program = join(cache, 'porcupine');
  if (existsSync(program)) return program;
  await mkdir(cache, { recursive: true });
  // Two runs may build at once: each builds its own and puts it in place.
  const fresh = join(cache, `porcupine.${process.pid}`);
  const { code, stderr } = await run('go', ['build', '-trimpath', '-buildvcs=false', '-o', fresh, '.'], { cwd: sourceDirectory, timeoutMs: buildTimeoutMs });
  if (code !== 0) throw new Error(`building ${sourceDirectory} failed; it needs Go 1.19 or newer and a module proxy (go env GOPROXY):\n${stderr}`);
  await rename(fresh, program);
  return program;
}

interface Ended {
  /** A number, or why it could not run at all. */
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, args: readonly string[], { cwd, timeoutMs = 60_000 }: { cwd?: string; timeoutMs?: number } = {}): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(program, args, { cwd, timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? error.message), stdout, stderr });
    });
  });
}
