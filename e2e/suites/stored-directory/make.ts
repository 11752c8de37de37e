/**
 * Makes the stored data directory of the present format: `node e2e/suites/stored-directory/make.ts <new directory>`.
 *
 * Once a version is released its directory is never made again: it shows that what that version wrote can still be read.
 */

import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbeddedShoal, requestContext, type EmbeddedShoal } from '../../framework/embedded-shoal.ts';
import { eventually } from '../../framework/timeouts.ts';
import { flatFloatsMax, rememberedRequest, storedCollections, storedFeedback, pointOf, type StoredCollection } from './content.ts';

const target = process.argv[2];
if (target === undefined) throw new Error('usage: make.ts <new directory>');
const work = await mkdtemp(join(tmpdir(), 'shoal-stored-'));
const dataDirectory = join(work, 'data');

// The first half ends in order: it is in the store's files and in checkpoints.
const first = await openEmbeddedShoal({ dataDirectory, flatFloatsMax, indexImplementation: 'hnswlib' });
for (const collection of storedCollections) {
  await first.api.collections.create(requestContext(), collection.input);
  await write(first, collection, (i) => i % 2 === 0);
}
await eventually(20_000, 'the graph', () => Promise.resolve(first.pod.hosted().some(({ replica }) => replica.statistics().graphPointCount > 0) ? true : undefined));
await first.api.feedback.submit(requestContext(), storedFeedback);
await first.close();

// The second half is as kill -9 leaves it: in the log alone.
const second = await openEmbeddedShoal({ dataDirectory, flatFloatsMax, indexImplementation: 'hnswlib' });
for (const collection of storedCollections) {
  await write(second, collection, (i) => i % 2 === 1);
  const context = requestContext();
  await second.api.points.delete(context, collection.input.name, collection.deleted.map((id) => ({ id })));
}
const { id, collection, ...idempotency } = rememberedRequest;
await second.api.points.upsert({ ...requestContext(), idempotency }, collection, [{ ...pointOf(0, 3), id }]);
await cp(dataDirectory, target, { recursive: true, force: false, errorOnExist: true });
await second.close();
await rm(work, { recursive: true });
// RocksDB's own diary and lock say nothing about the data.
for (const name of await readdir(join(target, 'store'))) if (/^LO(G|CK)/.test(name)) await rm(join(target, 'store', name));

async function write(shoal: EmbeddedShoal, { input, points, deleted }: StoredCollection, half: (i: number) => boolean): Promise<void> {
  const all = [...points, ...deleted.map((deletedId) => ({ ...pointOf(1, input.dimension), id: deletedId }))];
  await shoal.api.points.upsert(requestContext(), input.name, all.filter((_, i) => half(i)));
}
