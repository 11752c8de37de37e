/**
 * The project's image, built from the working tree by `npm run build` and kept under the hash of what it is made of. Its two
 * layers are kept apart: packages change rarely and are large, the program is small.
 *
 *     ~/.cache/shoal-e2e/layer-base-<hash>/layer.tar     Node, libraries, packages
 *     ~/.cache/shoal-e2e/image-shoal-<hash>/image.tar
 */

import { createHash, type Hash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, say } from '../command.ts';
import { makeLayer, storedLayer, writeImageArchive, type ImageConfig, type Layer } from './archive.ts';
import { archivesDirectory, type Archive } from './system-images.ts';

const checkout = join(import.meta.dirname, '..', '..', '..');
const baseInputs = ['package-lock.json', 'tools/build.mjs', 'tools/runtime.mjs'];
const programInputs = ['shoal.ts', 'pods', 'operator', 'proto', 'crds', 'package.json', 'tsconfig.json', 'LICENSE', 'tools/build.mjs'];
const buildTimeoutMs = 10 * 60_000;
/** Of each kind: the newest stay. */
const keptCount = 6;

/** `tag`: of the image `shoal`; the program's version by default. */
export async function shoalImage(tag: string = projectVersion()): Promise<Archive> {
  const reference = `docker.io/library/shoal:${tag}`;
  const base = hashOf(baseInputs);
  const program = hashOf(programInputs);
  const file = join(archivesDirectory, `image-shoal-${createHash('sha256').update(`${base} ${program} ${reference}`).digest('hex').slice(0, 16)}`, 'image.tar');
  if (existsSync(file)) {
    await touch(join(file, '..'));
    return { reference, file };
  }
  say('building the image shoal from the working tree');
  const work = await mkdtemp(join(tmpdir(), 'shoal-image-'));
  try {
    const baseFile = join(archivesDirectory, `layer-base-${base}`, 'layer.tar');
    const baseLayer = (await storedLayer(baseFile)) ?? (await layer(work, 'base', baseFile));
    await touch(join(baseFile, '..'));
    const programLayer = await layer(work, 'program', join(work, 'program.tar'));
    const config = JSON.parse(await readFile(join(work, 'image.json'), 'utf8')) as ImageConfig;
    await writeImageArchive(file, reference, [baseLayer, programLayer], config);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  await removeOld('image-shoal-');
  await removeOld('layer-base-');
  return { reference, file };
}

export function projectVersion(): string {
  return (JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as { version: string }).version;
}

async function layer(work: string, part: 'base' | 'program', file: string): Promise<Layer> {
  await run(process.execPath, [join(checkout, 'launcher.mjs'), 'build', '--output', work, '--part', part], { timeoutMs: buildTimeoutMs });
  return makeLayer(join(work, part), file);
}

function hashOf(paths: readonly string[]): string {
  const hash = createHash('sha256').update(`${process.platform}-${process.arch}`);
  for (const path of paths) addTo(hash, path);
  return hash.digest('hex').slice(0, 16);
}

/** Tests are no part of the image, so their changes make no new one. */
function addTo(hash: Hash, path: string): void {
  const full = join(checkout, path);
  if (!existsSync(full) || /\.(?:test|fixture|conformance)\.ts$/.test(path)) return;
  if (statSync(full).isDirectory()) for (const name of readdirSync(full).sort()) addTo(hash, join(path, name));
  else hash.update(`\0${path}\0`).update(readFileSync(full));
}

/** What was used last shall be removed last. */
function touch(directory: string): Promise<void> {
  return utimes(directory, new Date(), new Date());
}

async function removeOld(prefix: string): Promise<void> {
  const names = (await readdir(archivesDirectory)).filter((name) => name.startsWith(prefix));
  const dated = await Promise.all(names.map(async (name) => ({ path: join(archivesDirectory, name), usedMs: (await stat(join(archivesDirectory, name))).mtimeMs })));
  for (const { path } of dated.sort((a, b) => b.usedMs - a.usedMs).slice(keptCount)) await rm(path, { recursive: true, force: true });
}
