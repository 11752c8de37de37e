/** Aim: no file of a checkpoint goes unread: damage in each of them is named. */

import assert from 'node:assert/strict';
import { crc32c } from '@node-rs/crc32';
import { test } from 'node:test';
import type { CheckpointPart } from '../index/vector-index.ts';
import { faultyFileSystem, type FaultyFileSystem } from '../kernel/faulty-file-system.ts';
import { seededRandom } from '../kernel/random.ts';
import { openLog } from '../log/log.fixture.ts';
import { CheckpointDirectory } from '../shard/checkpoint.ts';
import { openMemoryStore } from '../storage/memory-store.ts';
import { dataDirectoryLayout } from './data-directory.ts';
import { verifyParts, type Verification } from './verify.ts';

const directory = dataDirectoryLayout('/data');
const written = `${directory.checkpoints(1)}/0000000001`;

async function diskWithCheckpoint(): Promise<FaultyFileSystem> {
  const fileSystem = faultyFileSystem({ random: seededRandom(1) });
  const bytes = Uint8Array.of(1, 2, 3);
  await new CheckpointDirectory(fileSystem, directory.checkpoints(1)).write({
    seq: 1,
    writeVersions: (write) => write(new Uint8Array(Float64Array.of(1, 1).buffer)),
    writeIds: (write) => write(bytes),
    writePayload: (write) => write(bytes),
    writeGraph: async (at): Promise<readonly CheckpointPart[]> => {
      const file = await fileSystem.open(`${at}/graph.bin`, 'create');
      await file.write([bytes], 0);
      await file.sync();
      await file.close();
      return [{ name: 'graph.bin', sizeBytes: bytes.length, checksum: crc32c(bytes) }];
    },
    parameters: { dimension: 1, metric: 'dot', m: 4, efConstruction: 10 },
    keepStore: () => Promise.resolve(),
  });
  return fileSystem;
}

async function verified(fileSystem: FaultyFileSystem): Promise<Verification> {
  const replica = { shardUID: 'shard', collectionUID: 'collection', incarnation: 'incarnation', localReplica: 1 };
  return verifyParts({ fileSystem, directory, log: await openLog(fileSystem), store: openMemoryStore(), replicas: [replica] }, new AbortController().signal);
}

test('an intact checkpoint has no faults', async () => {
  assert.deepEqual((await verified(await diskWithCheckpoint())).faults, []);
});

for (const name of ['labels.bin', 'ids.bin', 'payload.bin', 'graph/graph.bin']) {
  test(`a flipped bit in ${name}`, async () => {
    const fileSystem = await diskWithCheckpoint();
    fileSystem.flip(`${written}/${name}`, 1, 3);
    assert.deepEqual((await verified(fileSystem)).faults, [`${written}/${name} is missing or fails its checksum`]);
  });
}
