/**
 * A directory as Kubernetes fills it from a Secret: the files are links through `..data`, which is a link to a directory that
 * holds one version of all of them, and is exchanged in one step.
 */

import { mkdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

let version = 0;

/** Makes the volume, or exchanges what is in it; readers see all of the old files or all of the new ones at any path, but may look between. */
export async function writeSecretVolume(directory: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  await mkdir(directory, { recursive: true });
  const data = join(directory, '..data');
  const old = await readlink(data).catch(() => undefined);
  const next = `..${++version}`;
  await mkdir(join(directory, next));
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, next, name), content);
  await symlink(next, join(directory, '..data_tmp'));
  await rename(join(directory, '..data_tmp'), data);
  for (const name of Object.keys(files)) await symlink(join('..data', name), join(directory, name)).catch(() => undefined);
  if (old !== undefined) await rm(join(directory, old), { recursive: true });
}
