/**
 * Aim: the label table of a start is the store's, whether it is read from the store or put together from a checkpoint and
 * the log, and whatever happened to labels while the checkpoint's ids were written.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { faultyFileSystem } from '../kernel/faulty-file-system.ts';
import { seededRandom } from '../kernel/random.ts';
import type { LogEntry, ReplicaLog } from '../log/log.ts';
import { openMemoryStore } from '../storage/memory-store.ts';
import type { KeyValueStore, WriteOperation } from '../storage/key-value-store.ts';
import { SortedMap } from '../storage/sorted-map.ts';
import { CheckpointDirectory, inChunks, type StoredCheckpoint } from './checkpoint.ts';
import { encodeEntry } from './entry-codec.ts';
import { recoverLabels } from './label-recovery.ts';
import { LabelTable } from './label-table.ts';
import type { Operation } from './operation.ts';
import { StoredPoints } from './stored-points.ts';

const payload = new Uint8Array(2);

/** A shard that applies one operation an entry to its store and its labels, and remembers the entries. */
class Shard {
  readonly labels = new LabelTable();
  readonly entries: LogEntry[] = [];
  readonly checkpoints = new CheckpointDirectory(faultyFileSystem({ random: seededRandom(1) }), '/checkpoints');
  readonly points: StoredPoints;
  readonly map = new SortedMap();
  readonly #store: KeyValueStore;
  readonly #labelOf = new Map<string, number>();

  constructor() {
    this.#store = openMemoryStore(this.map);
    this.points = new StoredPoints(this.#store, 1);
  }

  async apply(operation: Operation): Promise<void> {
    this.entries.push({ term: 1, seq: this.entries.length + 1, payload: encodeEntry({ idempotency: undefined, operations: [operation], results: [] }) });
    if (operation.kind === 'put-record' || operation.kind === 'delete-record') return;
    const { id } = operation;
    const batch: WriteOperation[] = [];
    const known = this.#labelOf.get(id);
    if (operation.kind === 'set-payload') {
      if (known === undefined) return;
      this.labels.setVersion(known, operation.version);
      const vectorVersion = this.labels.vectorVersion(known);
      this.points.put(batch, id, { label: known, version: operation.version, vectorVersion }, { id, version: operation.version, payload, text: undefined });
      await this.#store.write(batch);
      return;
    }
    if (known !== undefined) {
      this.labels.remove(known);
      // At once, so that labels come to other ids as early as they ever can.
      this.labels.release(known);
      this.#labelOf.delete(id);
      this.points.deleteLabel(batch, known);
      batch.push(this.points.deleteId(id));
    }
    if (operation.kind === 'delete') return this.#store.write(batch);
    const state = { label: this.labels.allocate(), version: operation.version, vectorVersion: operation.version };
    this.labels.set(state.label, id, state.version, state.vectorVersion);
    this.#labelOf.set(id, state.label);
    this.points.put(batch, id, state, { id, version: state.version, payload, text: undefined }, operation.vector);
    await this.#store.write(batch);
  }

  async checkpoint(whileIdsAreWritten: () => Promise<void>): Promise<StoredCheckpoint> {
    const versions = this.labels.versionsSnapshot();
    return this.checkpoints.write({
      seq: this.entries.length,
      writeVersions: inChunks(versions.bytes()),
      writeIds: async (write) => {
        await whileIdsAreWritten();
        for (const chunk of this.labels.idChunks(versions.labelCount)) await write(chunk);
      },
      writePayload: undefined,
      writeGraph: () => Promise.resolve(undefined),
      parameters: { dimension: 1, metric: 'dot', m: 4, efConstruction: 10 },
      keepStore: () => Promise.resolve(),
    });
  }

  /** From the store as it is, or as a power loss left it. */
  async recovered(checkpoint: StoredCheckpoint | undefined, firstSeq = 1, map = this.map): Promise<{ labels: LabelTable; scanCount: number; gaveUp: string[] }> {
    const { entries, checkpoints } = this;
    const store = openMemoryStore(map);
    let scanCount = 0;
    const scan: KeyValueStore['scan'] = (range, signal) => {
      scanCount++;
      return store.scan(range, signal);
    };
    const points = new StoredPoints({ ...store, scan }, 1);
    const log = {
      firstSeq,
      lastSeq: entries.length,
      async *read(from: number, through: number) {
        assert(from >= firstSeq);
        yield* entries.slice(from - 1, through);
      },
    } as unknown as ReplicaLog;
    const gaveUp: string[] = [];
    const source = checkpoint === undefined ? undefined : { checkpoints, checkpoint, versions: await checkpoints.readVersions(checkpoint) };
    const orRebuild = (load: () => Promise<LabelTable | undefined>): Promise<LabelTable | undefined> =>
      load().catch((error: unknown) => {
        gaveUp.push((error as Error).message);
        return undefined;
      });
    const labels = await recoverLabels({ points, log, orRebuild }, source);
    return { labels, scanCount, gaveUp };
  }
}

function rowsOf(labels: LabelTable): unknown[] {
  return Array.from({ length: labels.versionsSnapshot().labelCount }, (_, label) => label)
    .filter((label) => labels.isLive(label))
    .map((label) => [label, labels.id(label), labels.version(label), labels.vectorVersion(label)]);
}

function upsert(id: string, version: number): Operation {
  return { kind: 'upsert', id, version, vector: new Uint8Array(4), payload, text: undefined };
}

test('whatever is changed before, while and after the ids are written, and however much of it a power loss takes', async () => {
  const operation = fc.tuple(fc.constantFrom('upsert', 'upsert', 'set-payload', 'delete', 'put-record'), fc.constantFrom('a', 'b', 'c', 'dé', 'longer than a unit'));
  await fc.assert(
    fc.asyncProperty(fc.array(operation), fc.array(operation), fc.array(operation), async (...parts) => {
      const shard = new Shard();
      const moments: { map: SortedMap; rows: unknown }[] = [];
      const apply = async (part: (typeof parts)[0]): Promise<void> => {
        for (const [kind, id] of part) {
          const version = shard.entries.length + 1;
          if (kind === 'upsert') await shard.apply(upsert(id, version));
          else if (kind === 'set-payload') await shard.apply({ kind, id, version, payload });
          else if (kind === 'delete') await shard.apply({ kind, id });
          else await shard.apply({ kind: 'put-record', key: id, version, value: payload });
          moments.push({ map: shard.map.copy(), rows: rowsOf(shard.labels) });
        }
      };
      await apply(parts[0]);
      const durable = Math.max(0, moments.length - 1);
      const checkpoint = await shard.checkpoint(() => apply(parts[1]));
      await apply(parts[2]);
      for (const { map, rows } of moments.slice(durable)) {
        const { labels, scanCount, gaveUp } = await shard.recovered(checkpoint, 1, map);
        assert.deepEqual([rowsOf(labels), scanCount, gaveUp], [rows, 0, []]);
      }
    }),
  );
});

describe('the store is read from end to end', () => {
  const many = async (shard: Shard, count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await shard.apply(upsert(`p${i}`, i + 1));
  };
  const cases: Record<string, (shard: Shard) => Promise<[StoredCheckpoint | undefined, number?]>> = {
    'without a checkpoint': async (shard) => (await many(shard, 5), [undefined]),
    'when the log begins later': async (shard) => {
      await many(shard, 3);
      const checkpoint = await shard.checkpoint(() => Promise.resolve());
      await many(shard, 3);
      return [checkpoint, 5];
    },
    'when much was changed': async (shard) => {
      const checkpoint = await shard.checkpoint(() => Promise.resolve());
      await many(shard, 5_000);
      return [checkpoint];
    },
    'when the checkpoint has no ids': async (shard) => {
      await many(shard, 3);
      const { directory, manifest } = await shard.checkpoint(() => Promise.resolve());
      const { ids: _ids, ...older } = manifest;
      return [{ directory, manifest: older }];
    },
  };
  for (const [name, make] of Object.entries(cases)) {
    test(name, async () => {
      const shard = new Shard();
      const { labels, scanCount, gaveUp } = await shard.recovered(...(await make(shard)));
      assert.deepEqual([rowsOf(labels), scanCount, gaveUp], [rowsOf(shard.labels), 1, []]);
    });
  }

  test('when store and checkpoint contradict each other', async () => {
    const shard = new Shard();
    await shard.apply(upsert('a', 1));
    const checkpoint = await shard.checkpoint(() => Promise.resolve());
    // An entry names another point than the store has under the label.
    const other = new Shard();
    await other.apply(upsert('b', 1));
    await other.apply(upsert('b', 2));
    const source = { checkpoints: shard.checkpoints, checkpoint, versions: await shard.checkpoints.readVersions(checkpoint) };
    const gaveUp: string[] = [];
    const log = { firstSeq: 1, lastSeq: 2, read: (from: number) => other.entries.slice(from - 1) } as unknown as ReplicaLog;
    const orRebuild = (load: () => Promise<LabelTable | undefined>): Promise<LabelTable | undefined> =>
      load().catch((error: unknown) => (gaveUp.push((error as Error).message), undefined));
    const labels = await recoverLabels({ points: other.points, log, orRebuild }, source);
    assert.deepEqual([rowsOf(labels), gaveUp], [rowsOf(other.labels), ['point "b" has a label that the checkpoint gives to another']]);
  });
});
