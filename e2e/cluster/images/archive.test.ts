/** An image's archive has what `ctr images import` and `docker load` look for, and the same directories give the same bytes. */

import assert from 'node:assert/strict';
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryDirectory } from '../../framework/temporary-directory.ts';
import { run } from '../command.ts';
import { makeLayer, storedLayer, writeImageArchive, type Layer } from './archive.ts';

test('an archive of two layers', async (t) => {
  const directory = await temporaryDirectory(t);
  const layers = async (attempt: string): Promise<Layer[]> => {
    const made: Layer[] = [];
    for (const name of ['lower', 'upper']) {
      const root = join(directory, attempt, name);
      await mkdir(join(root, 'etc'), { recursive: true });
      await writeFile(join(root, 'etc', name), name);
      await utimes(join(root, 'etc', name), 1, attempt === 'first' ? 1_000 : 2_000);
      made.push(await makeLayer(root, join(directory, `${attempt}-${name}.tar`)));
    }
    return made;
  };
  const config = { Entrypoint: ['/bin/program'], User: '1:1' };
  const bytes: Buffer[] = [];
  for (const attempt of ['first', 'second']) {
    const file = join(directory, `${attempt}.tar`);
    await writeImageArchive(file, 'docker.io/library/sample:1', await layers(attempt), config);
    bytes.push(await readFile(file));
  }
  assert.ok(bytes[0]!.equals(bytes[1]!), 'made twice, it differs');

  const unpacked = join(directory, 'unpacked');
  await mkdir(unpacked);
  await run('tar', ['-xf', join(directory, 'first.tar'), '-C', unpacked]);
  const [entry] = JSON.parse(await readFile(join(unpacked, 'manifest.json'), 'utf8')) as [{ Config: string; RepoTags: string[]; Layers: string[] }];
  const described = JSON.parse(await readFile(join(unpacked, entry.Config), 'utf8')) as { config: unknown; rootfs: { diff_ids: string[] } };
  assert.deepEqual([entry.RepoTags, described.config], [['docker.io/library/sample:1'], config]);
  assert.deepEqual(described.rootfs.diff_ids, entry.Layers.map((layer) => `sha256:${layer.split('/')[0]}`));
  for (const layer of entry.Layers) {
    const [digest] = (await run('sha256sum', [join(unpacked, layer)])).split(' ');
    assert.equal(digest, layer.split('/')[0]);
  }
  assert.match(await run('tar', ['-tf', join(unpacked, entry.Layers[1]!)]), /^\.\/etc\/upper$/m);
});

test('a layer that was made before is found with its digest, and one that was not is not', async (t) => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'root'));
  const layer = await makeLayer(join(directory, 'root'), join(directory, 'layer.tar'));
  assert.deepEqual(await storedLayer(layer.file), layer);
  assert.equal(await storedLayer(join(directory, 'other.tar')), undefined);
});
