/**
 * Aim: no read, however weak, shows a state from before what was acknowledged when the replica began to serve: neither a
 * backup's that has come in sync with an empty disk, nor a primary's whose log is ahead of its store after a crash.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '../../e2e/sim/simulated-clock.ts';
import { faultyFileSystem } from '../kernel/faulty-file-system.ts';
import { seededRandom } from '../kernel/random.ts';
import type { LogEntry } from '../log/log.ts';
import type { MessageBody } from '../replication/messages.ts';
import { openMemoryStore } from '../storage/memory-store.ts';
import { encodeEntry } from './entry-codec.ts';
import { bytesOfVector } from '../domain/vector-bytes.ts';
import { context, dimension, encode, lead, OpenReplica, shardUID, type ReplicaDisk } from './replica.fixture.ts';

const primary = { pod: 'test-1', incarnation: 'other', session: 'other session' };
const self = { pod: 'test-0', incarnation: 'first', session: 'session' };
const term = 1;
const entryCount = 300;

const read = ({ service }: OpenReplica): Promise<number> => service.count(context, { filter: undefined, consistency: { level: 'eventual' } });

function diskWithoutStore(): ReplicaDisk {
  return {
    directory: '/data',
    fileSystem: faultyFileSystem({ random: seededRandom(3) }),
    clock: new SimulatedClock(),
    openStore: () => Promise.resolve(openMemoryStore()),
    graphFactory: undefined,
    flatFloatsMax: 1_000_000,
  };
}

test('a primary whose store lost what its log has is read when it has applied it again', async () => {
  const disk = diskWithoutStore();
  const first = await OpenReplica.open(disk);
  await first.upsert(0, entryCount);
  await first.close();

  const open = await OpenReplica.open(disk, { lead: false });
  assert.equal(open.replica.appliedSeq, 0, 'nothing is left to be applied');
  const begun = lead(open.replica, self);
  assert.equal(open.replica.protocol.role.kind, 'primary');
  await assert.rejects(read(open), { code: 'NOT_IN_SYNC' });
  await begun;
  assert.equal(await read(open), entryCount);
  await open.close();
});

test('a backup that has just come in sync is read when it has applied what was committed by then', async () => {
  const open = await OpenReplica.open(diskWithoutStore(), { lead: false });
  const { replica } = open;
  const receive = (body: MessageBody): void => replica.receive({ collectionUID: 'collection-under-test', shardUID, term, from: primary, to: self, body });
  const untilDurable = async (): Promise<void> => {
    while (open.replica.report().lastSeq < entryCount) await new Promise(setImmediate);
  };
  const members = [primary, self].map(({ pod, incarnation }) => ({ pod, incarnation }));
  const authority = { term, primary, configVersion: 1, minInSync: 1, replicas: members.map(({ pod }) => pod), leaving: [], resourceVersion: '1' };
  replica.authorityChanged({ ...authority, inSync: members.slice(0, 1) });
  receive({ kind: 'append', prevSeq: 0, prevTerm: 0, entries: entries(), commitSeq: 0 });
  await untilDurable();
  // The commit seq and the authority arrive together: all of it is still to be applied.
  receive({ kind: 'append', prevSeq: entryCount, prevTerm: term, entries: [], commitSeq: entryCount });
  replica.authorityChanged({ ...authority, inSync: members, configVersion: 2, resourceVersion: '2' });

  await assert.rejects(read(open), { code: 'NOT_IN_SYNC' });
  let turns = 0;
  for (; replica.notReadable !== undefined; turns++) {
    assert(turns < 10_000, replica.notReadable);
    await new Promise(setImmediate);
  }
  assert.equal(replica.appliedSeq, entryCount);
  assert.equal(await read(open), entryCount);
  await open.close();
});

function entries(): LogEntry[] {
  return Array.from({ length: entryCount }, (_, i) => {
    const seq = i + 1;
    const operation = { kind: 'upsert', id: `p${seq}`, version: seq, vector: bytesOfVector(new Float32Array(dimension).fill(seq)), payload: encode({}), text: undefined } as const;
    return { term, seq, payload: encodeEntry({ idempotency: undefined, operations: [operation], results: [] }) };
  });
}
