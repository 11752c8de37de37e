/**
 * What replication asks of the log (rules W2, P2, P3): a term adopted for good, a suffix replaced in one synced write
 * whatever is in flight, and the terms of all that is kept.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FaultyFileSystem } from '../kernel/faulty-file-system.ts';
import { contents, entriesOf, memoryDisk, openLog } from './log.fixture.ts';
import type { PodLog, ReplicaLog } from './log.ts';

const sectorBytes = 512;

/** One replica on a disk in memory; `crash` takes the power away and opens the log again. */
async function start(segmentBytes = 1 << 20): Promise<{ disk: FaultyFileSystem; log: PodLog; replica: ReplicaLog; crash: () => Promise<PodLog> }> {
  const disk = memoryDisk();
  const open = (): Promise<PodLog> => openLog(disk.mount(), { bounds: { segmentBytes } });
  const log = await open();
  const crash = (): Promise<PodLog> => {
    disk.crash();
    return open();
  };
  return { disk, log, replica: log.replica(1), crash };
}

describe('the adopted term', () => {
  test('is there at once, durable when it resolves, and the highest counts', async () => {
    const { replica, crash } = await start();
    assert.equal(replica.adoptedTerm, 0);
    const adopting = replica.adoptTerm(5);
    assert.equal(replica.adoptedTerm, 5);
    await adopting;
    await replica.adoptTerm(3);
    assert.equal(replica.adoptedTerm, 5);
    const again = await crash();
    assert.deepEqual(again.replicas(), [1]);
    const { adoptedTerm, lastSeq, lastTerm, firstSeq } = again.replica(1);
    assert.deepEqual({ adoptedTerm, lastSeq, lastTerm, firstSeq }, { adoptedTerm: 5, lastSeq: 0, lastTerm: 0, firstSeq: 1 });
  });

  test('is at least the term of any entry, and stays when that entry is dropped', async () => {
    const { replica, crash } = await start();
    await replica.append([...entriesOf(2, 1, 'a'), ...entriesOf(7, 2, 'b')]);
    assert.equal(replica.adoptedTerm, 7);
    await replica.replaceSuffix(2, []);
    assert.deepEqual([replica.lastTerm, replica.adoptedTerm], [2, 7]);
    const again = (await crash()).replica(1);
    assert.deepEqual([again.lastTerm, again.adoptedTerm], [2, 7]);
  });

  test('lets entries of a lower term follow, in order with them', async () => {
    const { log, replica, crash } = await start();
    await Promise.all([replica.append(entriesOf(1, 1, 'a')), replica.adoptTerm(4), replica.append(entriesOf(1, 2, 'b')), replica.append(entriesOf(4, 3, 'c'))]);
    assert.deepEqual([log.statistics().groupCount, log.statistics().recordCount], [1, 4]);
    const again = (await crash()).replica(1);
    assert.deepEqual([await contents(again), again.adoptedTerm], [['1.1 a', '1.2 b', '4.3 c'], 4]);
  });

  test('one that is not higher writes nothing, but waits until the higher one is durable', async () => {
    const { log, replica } = await start();
    const order: string[] = [];
    const higher = replica.adoptTerm(6).then(() => order.push('higher'));
    while (log.statistics().queuedRecordCount > 0) await Promise.resolve();
    const lower = replica.adoptTerm(6).then(() => order.push('same'));
    await Promise.all([higher, lower]);
    assert.deepEqual(order, ['higher', 'same']);
    await replica.adoptTerm(5);
    assert.deepEqual([log.statistics().groupCount, log.statistics().recordCount], [1, 1]);
  });

  test('one that is not higher fails with the write that it waits for', async () => {
    const { disk, replica } = await start();
    disk.failNext({ operation: 'sync', code: 'EIO' });
    const both = [replica.adoptTerm(6), replica.adoptTerm(2)];
    for (const each of both) await assert.rejects(each, { code: 'OUTCOME_UNKNOWN' });
    assert.equal(replica.adoptedTerm, 0);
    await assert.rejects(replica.adoptTerm(2), { code: 'UNAVAILABLE' });
  });

  test('a full disk takes it back', async () => {
    const { disk, replica } = await start();
    disk.setCapacity(0);
    await assert.rejects(replica.adoptTerm(6), { code: 'STORAGE_READ_ONLY' });
    assert.equal(replica.adoptedTerm, 0);
    disk.setCapacity(Infinity);
    await replica.adoptTerm(6);
    assert.equal(replica.adoptedTerm, 6);
  });

  test('outlives the segment it was written in, a reset, and both', async () => {
    const { log, replica, crash } = await start(3 * sectorBytes);
    await replica.adoptTerm(9);
    for (let seq = 1; seq <= 3; seq++) await replica.append(entriesOf(2, seq, 'x'));
    await replica.release(3);
    assert.equal(log.statistics().segmentCount, 1);
    await log.verify();
    const second = await crash();
    await second.verify();
    assert.deepEqual([second.replica(1).adoptedTerm, second.replica(1).lastTerm], [9, 2]);
    await second.replica(1).reset(50, 4);
    assert.deepEqual([second.replica(1).adoptedTerm, second.replica(1).lastTerm], [9, 4]);
    await second.replica(2).append(entriesOf(1, 1, 'another'));
    const third = await crash();
    assert.deepEqual([third.replica(1).adoptedTerm, third.replica(1).lastSeq, third.replica(2).adoptedTerm], [9, 50, 1]);
    await third.replica(1).reset(60, 12);
    assert.equal((await crash()).replica(1).adoptedTerm, 12);
  });
});

describe('replaceSuffix', () => {
  const before = (replica: ReplicaLog): Promise<void> => replica.append([...entriesOf(1, 1, 'a', 'b'), ...entriesOf(2, 3, 'c', 'd')]);
  const cases: { what: string; change: (replica: ReplicaLog) => Promise<unknown>; after: string[]; runs: string }[] = [
    { what: 'nothing by nothing', change: (replica) => replica.replaceSuffix(5, []), after: ['1.1 a', '1.2 b', '2.3 c', '2.4 d'], runs: '1:1-2 2:3-4' },
    { what: 'the end by nothing', change: (replica) => replica.replaceSuffix(3, []), after: ['1.1 a', '1.2 b'], runs: '1:1-2' },
    { what: 'all by nothing', change: (replica) => replica.replaceSuffix(1, []), after: [], runs: '' },
    { what: 'all by another history', change: (replica) => replica.replaceSuffix(1, entriesOf(3, 1, 'A', 'B')), after: ['3.1 A', '3.2 B'], runs: '3:1-2' },
    { what: 'the end by more', change: (replica) => replica.replaceSuffix(4, entriesOf(5, 4, 'D', 'E', 'F')), after: ['1.1 a', '1.2 b', '2.3 c', '5.4 D', '5.5 E', '5.6 F'], runs: '1:1-2 2:3-3 5:4-6' },
    {
      what: 'twice in flight, the second below the first',
      change: (replica) => Promise.all([replica.replaceSuffix(4, entriesOf(3, 4, 'D', 'E')), replica.replaceSuffix(2, entriesOf(4, 2, 'B'))]),
      after: ['1.1 a', '4.2 B'],
      runs: '1:1-1 4:2-2',
    },
    {
      what: 'twice in flight, the second above the first',
      change: (replica) => Promise.all([replica.replaceSuffix(2, entriesOf(3, 2, 'B', 'C', 'D')), replica.replaceSuffix(4, entriesOf(4, 4, 'E'))]),
      after: ['1.1 a', '3.2 B', '3.3 C', '4.4 E'],
      runs: '1:1-1 3:2-3 4:4-4',
    },
    {
      what: 'between appends in flight',
      change: (replica) =>
        Promise.all([
          replica.append(entriesOf(2, 5, 'e')),
          replica.replaceSuffix(4, entriesOf(3, 4, 'D')),
          replica.append(entriesOf(3, 5, 'E')),
          replica.replaceSuffix(5, []),
          replica.append(entriesOf(4, 5, 'last')),
        ]),
      after: ['1.1 a', '1.2 b', '2.3 c', '3.4 D', '4.5 last'],
      runs: '1:1-2 2:3-3 3:4-4 4:5-5',
    },
  ];
  for (const { what, change, after, runs } of cases) {
    for (const segmentBytes of [1 << 20, 3 * sectorBytes]) {
      test(`${what}, ${segmentBytes > 4096 ? 'in one segment' : 'a segment for each group'}`, async () => {
        const { log, replica, crash } = await start(segmentBytes);
        await before(replica);
        await change(replica);
        await log.verify();
        for (const each of [replica, (await crash()).replica(1)]) {
          const shown = each.termRuns().map(({ term, firstSeq, lastSeq }) => `${term}:${firstSeq}-${lastSeq}`);
          assert.deepEqual([shown.join(' '), each.lastSeq, each.durableSeq], [runs, after.length, after.length]);
          if (each !== replica) assert.deepEqual(await contents(each), after);
        }
      });
    }
  }

  test('a power loss while it is written keeps the old suffix or brings the new one, never a mixture', async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 60; seed++) {
      const disk = memoryDisk(seed);
      const log = await openLog(disk.mount());
      await before(log.replica(1));
      void log.replica(1).replaceSuffix(2, [...entriesOf(3, 2, Buffer.alloc(1500, 1)), ...entriesOf(4, 3, 'C')]).catch(() => undefined);
      for (let turn = 0; turn < seed % 4; turn++) await new Promise(setImmediate);
      disk.crash();
      const replica = (await openLog(disk)).replica(1);
      const runs = replica.termRuns().map(({ term, firstSeq, lastSeq }) => `${term}:${firstSeq}-${lastSeq}`).join(' ');
      assert.equal((await contents(replica)).length, replica.lastSeq);
      seen.add(`${runs} adopted ${replica.adoptedTerm}`);
    }
    assert.deepEqual([...seen].sort(), ['1:1-1 3:2-2 4:3-3 adopted 4', '1:1-2 2:3-4 adopted 2']);
  });

  test('a read that began before ends with what it could still find, or says that it is gone', async () => {
    const { replica } = await start();
    await before(replica);
    const reading = replica.read(1, 4)[Symbol.asyncIterator]();
    const first = await reading.next();
    await replica.replaceSuffix(2, entriesOf(3, 2, 'B'));
    const rest: string[] = [];
    for (let next = await reading.next(); next.done !== true; next = await reading.next()) rest.push(`${next.value.term}.${next.value.seq}`);
    assert.deepEqual([first.value?.seq, rest], [1, ['1.2', '2.3', '2.4']]);
    assert.deepEqual(await contents(replica), ['1.1 a', '3.2 B']);
  });
});

test('the terms of all that is kept, and of the entry before, are known across released segments and a restart', async () => {
  const { replica, log, crash } = await start(3 * sectorBytes);
  for (const [index, term] of [1, 1, 2, 2, 5, 5].entries()) await replica.append(entriesOf(term, index + 1, 'x'));
  assert.equal(log.statistics().segmentCount, 6);
  const shown = (each: ReplicaLog): unknown[] => [
    each.firstSeq,
    each.termRuns().map(({ term, firstSeq, lastSeq }) => `${term}:${firstSeq}-${lastSeq}`).join(' '),
    [0, 1, 2, 3, 4, 5, 6, 7].map((seq) => each.termAt(seq)),
  ];
  const none = undefined;
  const expected: [number, unknown[]][] = [
    [1, [2, '1:2-2 2:3-4 5:5-6', [none, 1, 1, 2, 2, 5, 5, none]]],
    [3, [4, '2:4-4 5:5-6', [none, none, none, 2, 2, 5, 5, none]]],
    [4, [5, '5:5-6', [none, none, none, none, 2, 5, 5, none]]],
    [6, [6, '5:6-6', [none, none, none, none, none, 5, 5, none]]],
  ];
  let each = log;
  for (const [seq, now] of expected) {
    await each.replica(1).release(seq);
    assert.deepEqual(shown(each.replica(1)), now, `released ${seq}`);
    each = await crash();
    assert.deepEqual(shown(each.replica(1)), now, `released ${seq}, after a crash`);
  }
});
