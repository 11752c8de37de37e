/**
 * Images as archives that `ctr images import` and `docker load` read, made of directories by the machine's `tar`:
 *
 *     manifest.json           [{Config, RepoTags, Layers}]
 *     <sha256>.json           what to run, and the layers' digests
 *     <sha256>/layer.tar      a layer, not compressed: it is read once, on this machine
 *
 * The same directories give the same bytes, and so the same digests.
 */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '../command.ts';

export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly Labels?: Readonly<Record<string, string>>;
}

const tarTimeoutMs = 5 * 60_000;
const reproducible = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--format=posix', '--pax-option=delete=atime,delete=ctime'];

/** Writes `file`; each directory of `layers` is the root of one layer, the lowest first. */
export async function writeImageArchive(file: string, reference: string, layers: readonly string[], config: ImageConfig): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const work = await mkdtemp(`${file}.`);
  try {
    const digests: string[] = [];
    for (const layer of layers) {
      const fresh = join(work, 'layer.tar');
      await run('tar', [...reproducible, '-C', layer, '-cf', fresh, '.'], { timeoutMs: tarTimeoutMs });
      const digest = await digestOf(fresh);
      await mkdir(join(work, digest), { recursive: true });
      await rename(fresh, join(work, digest, 'layer.tar'));
      digests.push(digest);
    }
    const description = JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      created: '1970-01-01T00:00:00Z',
      config,
      rootfs: { type: 'layers', diff_ids: digests.map((digest) => `sha256:${digest}`) },
      history: digests.map(() => ({ created: '1970-01-01T00:00:00Z' })),
    });
    const name = `${createHash('sha256').update(description).digest('hex')}.json`;
    await writeFile(join(work, name), description);
    await writeFile(join(work, 'manifest.json'), JSON.stringify([{ Config: name, RepoTags: [reference], Layers: digests.map((digest) => `${digest}/layer.tar`) }]));
    await run('tar', [...reproducible, '-C', work, '-cf', `${file}.new`, 'manifest.json', name, ...new Set(digests)], { timeoutMs: tarTimeoutMs });
    await rename(`${file}.new`, file);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
