/**
 * The two images that the cluster itself needs. `pause` holds a pod's network. `tools` is the machine's busybox, and the C
 * library: the programs of add-ons are not in it, they come from the machine by a hostPath volume.
 */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from '../command.ts';
import { makeLayer, writeImageArchive, type ImageConfig } from './archive.ts';

export const pauseImage = 'docker.io/shoal-cluster/pause:1';
export const toolsImage = 'docker.io/shoal-cluster/tools:1';

export const archivesDirectory = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'shoal-e2e');

export interface Archive {
  readonly reference: string;
  readonly file: string;
}

/** `envoy`: whose libraries `tools` shall have. */
export async function systemImages(programs: { readonly pause: string; readonly envoy: string }): Promise<Archive[]> {
  return [
    await cached(pauseImage, [programs.pause], { Entrypoint: ['/pause'], User: '65535:65535' }, (root) => cp(programs.pause, join(root, 'pause'))),
    await cached(toolsImage, ['/bin/busybox', programs.envoy], { Cmd: ['/bin/sh'], Env: ['PATH=/bin'] }, async (root) => {
      await mkdir(join(root, 'bin'));
      await cp('/bin/busybox', join(root, 'bin', 'busybox'), { dereference: true });
      const applets = (await run('/bin/busybox', ['--list'])).trim().split('\n');
      await Promise.all(applets.filter((name) => name !== 'busybox').map((name) => symlink('busybox', join(root, 'bin', name))));
      for (const library of await librariesOf(programs.envoy)) {
        await mkdir(dirname(join(root, library)), { recursive: true });
        await cp(library, join(root, library), { dereference: true });
      }
      await mkdir(join(root, 'tmp'));
    }),
  ];
}

async function cached(reference: string, inputs: readonly string[], config: ImageConfig, fill: (root: string) => Promise<void>): Promise<Archive> {
  const hash = createHash('sha256').update(JSON.stringify([reference, config]));
  for (const input of inputs) hash.update(await readFile(input));
  const [, name] = /\/([a-z]+):/.exec(reference) ?? [];
  const file = join(archivesDirectory, `image-${name}-${hash.digest('hex').slice(0, 16)}`, 'image.tar');
  if (existsSync(file)) return { reference, file };
  const root = await mkdtemp(join(tmpdir(), 'shoal-image-'));
  try {
    await fill(root);
    await run('chmod', ['0755', root]);
    await writeImageArchive(file, reference, [await makeLayer(root, `${file}.layer`)], config);
    await rm(`${file}.layer`);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
  return { reference, file };
}

async function librariesOf(program: string): Promise<string[]> {
  const lines = (await run('ldd', [program])).split('\n');
  return lines.map((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1]).filter((path) => path !== undefined);
}
