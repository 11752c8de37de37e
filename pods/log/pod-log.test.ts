/** What a pod's log does, on the real file system and on the one in memory. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { limits } from '../kernel/limits.ts';
import { systemErrorCode, type FileSystem } from '../kernel/file-system.ts';
import { nodeFileSystem } from '../kernel/node-file-system.ts';
import { collect, contents, entriesOf, memoryDisk, openLog } from './log.fixture.ts';
import type { PodLog } from './log.ts';
import type { PodLogOptions } from './pod-log.ts';

const sectorBytes = 512;
const temporary: string[] = [];
after(async () => {
  for (const directory of temporary) await rm(directory, { recursive: true, force: true });
});

const places: Record<string, () => Promise<{ fileSystem: FileSystem; directory: string }>> = {
  memory: async () => ({ fileSystem: memoryDisk(), directory: '/data/log' }),
  disk: async () => {
    const directory = await mkdtemp(join(tmpdir(), 'shoal-log-'));
    temporary.push(directory);
    return { fileSystem: nodeFileSystem, directory: join(directory, 'log') };
  },
};

for (const [name, place] of Object.entries(places)) {
  describe(`the log on ${name}`, () => {
    /** Opens a new log; `reopen` closes it and opens it again. */
    async function start(options: Partial<PodLogOptions> = {}): Promise<{ log: PodLog; reopen: () => Promise<PodLog> }> {
      const where = await place();
      let log = await openLog(where.fileSystem, { ...where, ...options });
      const reopen = async (): Promise<PodLog> => {
        await log.close();
        log = await openLog(where.fileSystem, { ...where, ...options });
        return log;
      };
      return { log, reopen };
    }

    test('is empty at first, and stays so when reopened', async () => {
      const { log, reopen } = await start();
      const view = ({ firstSeq, lastSeq, lastTerm, durableSeq }: ReturnType<PodLog['replica']>) => ({ firstSeq, lastSeq, lastTerm, durableSeq });
      assert.deepEqual(view(log.replica(7)), { firstSeq: 1, lastSeq: 0, lastTerm: 0, durableSeq: 0 });
      const again = await reopen();
      assert.deepEqual(again.replicas(), []);
      assert.deepEqual(view(again.replica(7)), { firstSeq: 1, lastSeq: 0, lastTerm: 0, durableSeq: 0 });
      await again.close();
    });

    test('keeps entries of several replicas apart, with their terms', async () => {
      const { log, reopen } = await start();
      const [one, two] = [log.replica(1), log.replica(2)];
      await Promise.all([
        one.append(entriesOf(1, 1, 'a', 'b')),
        two.append(entriesOf(4, 1, 'x')),
        one.append(entriesOf(3, 3, 'c', '')),
      ]);
      for (const each of [log, await reopen()]) {
        assert.deepEqual(each.replicas(), [1, 2]);
        if (each === log) continue;
        assert.deepEqual(await contents(each.replica(1)), ['1.1 a', '1.2 b', '3.3 c', '3.4 ']);
        assert.deepEqual(await contents(each.replica(2)), ['4.1 x']);
        assert.deepEqual(each.replica(1).termRuns(), [
          { term: 1, firstSeq: 1, lastSeq: 2 },
          { term: 3, firstSeq: 3, lastSeq: 4 },
        ]);
        assert.deepEqual([0, 1, 2, 3, 4, 5].map((seq) => each.replica(1).termAt(seq)), [0, 1, 1, 3, 3, undefined]);
        await each.close();
      }
    });

    test('calls made in one turn, and while a sync runs, share groups', async () => {
      const { log } = await start();
      const replicas = Array.from({ length: 50 }, (_, id) => log.replica(id));
      await Promise.all(replicas.map((replica) => replica.append(entriesOf(1, 1, 'first'))));
      assert.equal(log.statistics().groupCount, 1);
      const running = replicas[0]!.append(entriesOf(1, 2, 'second'));
      while (log.statistics().queuedRecordCount > 0) await new Promise(setImmediate);
      await Promise.all([running, ...replicas.slice(1).map((replica) => replica.append(entriesOf(1, 2, 'second')))]);
      const { groupCount, recordCount, queuedBytes, queuedRecordCount } = log.statistics();
      assert.deepEqual({ groupCount, recordCount, queuedBytes, queuedRecordCount }, { groupCount: 3, recordCount: 100, queuedBytes: 0, queuedRecordCount: 0 });
      await log.close();
    });

    test('lastSeq counts what is queued, durableSeq what is durable', async () => {
      const { log } = await start();
      const replica = log.replica(1);
      const pending = replica.append(entriesOf(1, 1, 'a', 'b'));
      assert.deepEqual([replica.lastSeq, replica.durableSeq], [2, 0]);
      await pending;
      assert.deepEqual([replica.lastSeq, replica.durableSeq], [2, 2]);
      const replacing = replica.replaceSuffix(2, entriesOf(2, 2, 'B', 'C'));
      assert.deepEqual([replica.lastSeq, replica.durableSeq], [3, 1]);
      await replacing;
      assert.deepEqual([replica.lastSeq, replica.durableSeq], [3, 3]);
      await log.close();
    });

    test('replaceSuffix drops and appends in one group, also twice in one group', async () => {
      const { log, reopen } = await start();
      const replica = log.replica(1);
      const groups = [
        replica.append(entriesOf(1, 1, 'a', 'b', 'c')),
        replica.replaceSuffix(2, entriesOf(2, 2, 'B', 'C', 'D')),
        replica.replaceSuffix(3, entriesOf(3, 3, 'x')),
      ];
      await Promise.all(groups);
      assert.equal(log.statistics().groupCount, 1);
      await replica.replaceSuffix(4, []);
      const expected = ['1.1 a', '2.2 B', '3.3 x'];
      assert.deepEqual(await contents(replica), expected);
      const again = await reopen();
      assert.deepEqual(await contents(again.replica(1)), expected);
      await again.close();
    });

    test('reads any range, across segments and large frames', async () => {
      const { log, reopen } = await start({ bounds: { segmentBytes: 700_000 } });
      const sizes = [10, 100_000, 0, 300_000, 1, 400_000, 50, 200_000];
      for (const [index, size] of sizes.entries()) {
        await log.replica(1).append(entriesOf(1, index + 1, Buffer.alloc(size, index)));
        await log.replica(2).append(entriesOf(1, index + 1, 'other'));
      }
      assert.ok(log.statistics().segmentCount >= 2);
      for (const each of [log, await reopen()]) {
        if (each === log) continue;
        for (let from = 1; from <= sizes.length; from++) {
          for (let through = from - 1; through <= sizes.length + 1; through++) {
            const read = await collect(each.replica(1).read(from, through));
            const expected = sizes.slice(from - 1, through).map((size, index) => [from + index, size, size === 0 ? undefined : from + index - 1]);
            assert.deepEqual(read.map(({ seq, payload }) => [seq, payload.length, payload.at(-1)]), expected);
          }
        }
        assert.deepEqual(await each.verify().then(({ records }) => records), sizes.length * 2 + (each.statistics().segmentCount - 1) * 2);
        await each.close();
      }
    });

    test('segments go when every replica released them; what is left keeps its place', async () => {
      const { log, reopen } = await start({ bounds: { segmentBytes: 4 * sectorBytes } });
      const [one, two] = [log.replica(1), log.replica(2)];
      await two.append(entriesOf(1, 1, 'idle'));
      for (let seq = 1; seq <= 6; seq++) await one.append(entriesOf(seq, seq, `e${seq}`));
      assert.equal(log.statistics().segmentCount, 4);
      assert.deepEqual(log.oldestNeeded(), { segment: 1, localReplica: 2, firstSeq: 1, lastSeq: 1 });
      await one.release(4);
      assert.equal(log.statistics().segmentCount, 4);
      await two.release(1);
      assert.deepEqual(log.oldestNeeded(), { segment: 3, localReplica: 1, firstSeq: 5, lastSeq: 5 });
      const check = async (each: PodLog): Promise<void> => {
        const [first, second] = [each.replica(1), each.replica(2)];
        assert.equal(each.statistics().segmentCount, 2);
        assert.deepEqual(await contents(first), ['4.4 e4', '5.5 e5', '6.6 e6']);
        assert.deepEqual([3, 4].map((seq) => first.termAt(seq)), [3, 4]);
        assert.equal(first.termAt(2), undefined);
        assert.deepEqual([second.firstSeq, second.lastSeq, second.lastTerm, second.termAt(1)], [2, 1, 1, 1]);
        await assert.rejects(contents({ ...first, firstSeq: 1, lastSeq: 6, read: (from, through) => first.read(from, through) }), { code: 'UNAVAILABLE' });
        await each.verify();
      };
      await check(log);
      const again = await reopen();
      await check(again);
      await again.replica(2).append(entriesOf(2, 2, 'again'));
      assert.deepEqual(await contents(again.replica(2)), ['2.2 again']);
      await again.close();
    });

    test('forget lets segments go', async () => {
      const { log, reopen } = await start({ bounds: { segmentBytes: 4 * sectorBytes } });
      await log.replica(1).append(entriesOf(1, 1, 'a'));
      for (let seq = 1; seq <= 4; seq++) await log.replica(2).append(entriesOf(1, seq, 'b'));
      await log.replica(2).release(4);
      assert.equal(log.oldestNeeded()?.localReplica, 1);
      await log.forget(1);
      assert.deepEqual([log.replicas(), log.oldestNeeded()], [[2], undefined]);
      assert.throws(() => log.replica(1), /forgotten/);
      const again = await reopen();
      assert.deepEqual(again.replicas(), [2]);
      await again.close();
    });

    test('reset goes on after a seq from elsewhere', async () => {
      const { log, reopen } = await start();
      await log.replica(1).append(entriesOf(1, 1, 'a', 'b'));
      await log.replica(1).reset(100, 7);
      const again = await reopen();
      const replica = again.replica(1);
      assert.deepEqual([replica.firstSeq, replica.lastSeq, replica.lastTerm, replica.termAt(100), replica.termAt(2)], [101, 100, 7, 7, undefined]);
      await replica.append(entriesOf(7, 101, 'next'));
      assert.deepEqual(await contents(replica), ['7.101 next']);
      await again.close();
    });

    test('refuses what is too large or too much, and goes on', async () => {
      const bounds = { groupBytesMax: 4096, groupRecordCountMax: 4, queueBytesMax: 6000, queueRecordCountMax: 6 };
      const { log } = await start({ bounds });
      const replica = log.replica(1);
      const tooLarge = Buffer.alloc(limits.logRecordBytesMax);
      await assert.rejects(replica.append(entriesOf(1, 1, tooLarge)), { code: 'INVALID_ARGUMENT' });
      await assert.rejects(replica.append(entriesOf(1, 1, Buffer.alloc(4096))), { code: 'INVALID_ARGUMENT' });
      await assert.rejects(replica.append(entriesOf(1, 1, '', '', '', '', '')), { code: 'INVALID_ARGUMENT' });
      const queued = [replica.append(entriesOf(1, 1, Buffer.alloc(3000))), replica.append(entriesOf(1, 2, '', '', ''))];
      const refused = [replica.append(entriesOf(1, 5, Buffer.alloc(3000))), replica.append(entriesOf(1, 5, '', '', ''))];
      for (const each of refused) await assert.rejects(each, { code: 'OVERLOADED' });
      assert.equal(replica.lastSeq, 4);
      await Promise.all(queued);
      await replica.append(entriesOf(1, 5, 'after'));
      assert.equal(replica.durableSeq, 5);
      await log.close();
      await assert.rejects(replica.append(entriesOf(1, 6, 'late')), { code: 'SHUTTING_DOWN' });
    });

    test('a gap or a falling term is a programmer’s error that changes nothing', async () => {
      const { log } = await start();
      const replica = log.replica(1);
      await replica.append(entriesOf(5, 1, 'a'));
      await assert.rejects(replica.append(entriesOf(5, 3, 'c')), /seq 3 does not follow 1/);
      await assert.rejects(replica.append([...entriesOf(5, 2, 'b'), ...entriesOf(4, 3, 'c')]), /term 4 falls below 5/);
      await assert.rejects(replica.replaceSuffix(3, []), /cannot replace from 3/);
      assert.equal(replica.lastSeq, 1);
      await log.close();
    });

    test('a read stops when its signal aborts', async () => {
      const { log } = await start();
      await log.replica(1).append(entriesOf(1, 1, 'a'));
      await assert.rejects(collect(log.replica(1).read(1, 1, AbortSignal.abort())), { name: 'AbortError' });
      await log.close();
    });
  });
}

describe('the log on a failing disk', () => {
  test('a failed sync leaves the outcome unknown, and poisons', async () => {
    const disk = memoryDisk();
    const log = await openLog(disk);
    const replica = log.replica(1);
    await replica.append(entriesOf(1, 1, 'a'));
    disk.failNext({ operation: 'sync', code: 'EIO' });
    const pending = [replica.append(entriesOf(1, 2, 'b'))];
    await Promise.resolve();
    await Promise.resolve();
    pending.push(replica.append(entriesOf(1, 3, 'c')));
    for (const each of pending) await assert.rejects(each, { code: 'OUTCOME_UNKNOWN' });
    assert.match(String(log.failure), /in doubt/);
    await assert.rejects(replica.append(entriesOf(1, 2, 'b')), { code: 'UNAVAILABLE' });
    assert.equal(replica.lastSeq, 1);
    assert.deepEqual(await contents(replica), ['1.1 a']);
    await log.close();
  });

  for (const { what, segmentBytes } of [{ what: 'in a group', segmentBytes: 1 << 20 }, { what: 'when a segment begins', segmentBytes: 3 * sectorBytes }]) {
    test(`a disk that fills up ${what} refuses everything queued, and takes writes again when there is room`, async () => {
      const disk = memoryDisk();
      const log = await openLog(disk, { bounds: { segmentBytes } });
      const [one, two] = [log.replica(1), log.replica(2)];
      await one.append(entriesOf(1, 1, 'a'));
      disk.setCapacity(4 * sectorBytes);
      const large = Buffer.alloc(2000, 1);
      const refused = [one.append(entriesOf(1, 2, large)), two.append(entriesOf(1, 1, 'x')), one.append(entriesOf(1, 3, 'c'))];
      for (const each of refused) await assert.rejects(each, { code: 'STORAGE_READ_ONLY' });
      assert.deepEqual([one.lastSeq, two.lastSeq, log.failure], [1, 0, undefined]);
      disk.setCapacity(Infinity);
      await one.append(entriesOf(1, 2, 'b'));
      await log.close();
      disk.crash();
      assert.deepEqual(await contents((await openLog(disk)).replica(1)), ['1.1 a', '1.2 b']);
    });
  }

  test('a full disk whose leftovers cannot be cut off poisons', async () => {
    const disk = memoryDisk();
    const log = await openLog(disk);
    disk.failNext({ operation: 'write', code: 'ENOSPC' });
    disk.failNext({ operation: 'truncate', code: 'EIO' });
    await assert.rejects(log.replica(1).append(entriesOf(1, 1, 'a')), { code: 'OUTCOME_UNKNOWN' });
    assert.notEqual(log.failure, undefined);
    await log.close();
  });

  test('a disk that cannot be read is not taken for a corrupt one', async () => {
    const disk = memoryDisk();
    await (await openLog(disk)).close();
    disk.failNext({ operation: 'read', code: 'EIO' });
    await assert.rejects(openLog(disk), (error: Error & { code: string }) => error.code === 'UNAVAILABLE' && systemErrorCode(error.cause) === 'EIO');
  });

  test('without syncs a crash loses entries: the option for tests does what it says', async () => {
    let lost = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const disk = memoryDisk(seed);
      const log = await openLog(disk, { unsafeSkipSync: true });
      await log.replica(1).append(entriesOf(1, 1, 'a'));
      disk.crash();
      const lastSeq = await openLog(disk).then((reopened) => reopened.replica(1).lastSeq, () => 0);
      if (lastSeq === 0) lost++;
    }
    assert.ok(lost > 0);
  });
});
