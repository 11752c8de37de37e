/**
 * What peers need, installed on first use and kept outside the checkout, named by what it is made of:
 *
 *     ~/.cache/shoal-bench/peers/<name>-<hash>/    a Python environment, or a program compiled here
 */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { say } from '../report.ts';
import { runCommand } from './child-process.ts';
import { boundsMs } from './time-bounds.ts';

export const driverDirectory = fileURLToPath(new URL('./drivers/', import.meta.url));

export function cacheRoot(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'shoal-bench');
}

/** Directory of a Python environment with these packages (`name==version`). */
export async function pythonEnvironment(name: string, packages: readonly string[]): Promise<string> {
  return installed(name, packages.join('\n'), async (directory) => {
    say(`installing ${packages.join(', ')}`);
    // Scripts of an environment name its path, so it is made where it stays; the marker says that it is complete.
    await runCommand('python3', ['-m', 'venv', '--clear', directory], boundsMs.install);
    await runCommand(join(directory, 'bin', 'pip'), ['install', '--quiet', '--disable-pip-version-check', ...packages], boundsMs.install);
  });
}

/** A program compiled from one C++ file for this machine's processor. */
export async function compiledProgram(name: string, source: string, includeDirectory: string, sourceText: string): Promise<string> {
  const args = ['-std=c++17', '-O3', '-march=native', '-pthread', `-I${includeDirectory}`, source];
  const directory = await installed(name, sourceText, async (directory) => {
    say(`compiling ${name}`);
    await mkdir(directory, { recursive: true });
    const unfinished = join(directory, `${name}.${process.pid}`);
    await runCommand('g++', [...args, '-o', unfinished], boundsMs.build);
    await rename(unfinished, join(directory, name));
  });
  return join(directory, name);
}

async function installed(name: string, madeOf: string, install: (directory: string) => Promise<void>): Promise<string> {
  const hash = createHash('sha256').update(madeOf).digest('hex').slice(0, 16);
  const directory = join(cacheRoot(), 'peers', `${name}-${hash}`);
  const marker = join(directory, 'installed');
  if (existsSync(marker)) return directory;
  await rm(directory, { recursive: true, force: true });
  await install(directory);
  await writeFile(marker, '');
  return directory;
}
