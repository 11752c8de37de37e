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
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
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

export interface Layer {
  /** Of the layer as a tar file. */
  readonly file: string;
  readonly digest: string;
}

/** Makes a directory the root of a layer, `file`. */
export async function makeLayer(directory: string, file: string): Promise<Layer> {
  await mkdir(dirname(file), { recursive: true });
  const fresh = `${file}.${process.pid}`;
  await run('tar', [...reproducible, '-C', directory, '-cf', fresh, '.'], { timeoutMs: tarTimeoutMs });
  const digest = await digestOf(fresh);
  await writeFile(`${file}.sha256`, digest);
  await rename(fresh, file);
  return { file, digest };
}

/** A layer that was made before. */
export async function storedLayer(file: string): Promise<Layer | undefined> {
  return existsSync(file) ? { file, digest: await readFile(`${file}.sha256`, 'utf8') } : undefined;
}

/** Writes `file`: the layers, the lowest first. */
export async function writeImageArchive(file: string, reference: string, layers: readonly Layer[], config: ImageConfig): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const work = await mkdtemp(`${file}.`);
  // Two commands may make it at once: each writes a file of its own, and the last renaming wins.
  const fresh = join(work, 'image.tar');
  try {
    const description = JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      created: '1970-01-01T00:00:00Z',
      config,
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => `sha256:${digest}`) },
      history: layers.map(() => ({ created: '1970-01-01T00:00:00Z' })),
    });
    const name = `${createHash('sha256').update(description).digest('hex')}.json`;
    const files = layers.map(({ digest }) => `${digest}/layer.tar`);
    for (const { file: source, digest } of layers) {
      await mkdir(join(work, digest), { recursive: true });
      await symlink(source, join(work, digest, 'layer.tar'));
    }
    await writeFile(join(work, name), description);
    await writeFile(join(work, 'manifest.json'), JSON.stringify([{ Config: name, RepoTags: [reference], Layers: files }]));
    await run('tar', [...reproducible, '--dereference', '-C', work, '-cf', fresh, 'manifest.json', name, ...new Set(files)], { timeoutMs: tarTimeoutMs });
    await rename(fresh, file);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
