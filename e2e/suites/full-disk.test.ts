/**
 * Aim: a full disk is said in words and harms nothing. Above the watermark writes that add data are refused while reads,
 * searches and deletes go on; with room again writes are taken again. Where the disk is really full, against all
 * watermarks, nothing acknowledged is lost.
 *
 * The real disks are small tmpfs file systems in a mount namespace of the test's own, which needs Linux and root.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { errorTable } from '../../pods/kernel/errors.ts';
import { atEnd } from '../framework/cleanup.ts';
import { runProgram } from '../framework/command-line.ts';
import { doorsTo, type Door, type Refusal } from '../framework/doors.ts';
import { GrpcFailure } from '../framework/grpc-client.ts';
import { HttpConnection } from '../framework/http-client.ts';
import { startServer } from '../framework/server-process.ts';
import { packVector, ShoalClient } from '../framework/shoal-client.ts';
import { temporaryDirectory } from '../framework/temporary-directory.ts';
import { eventually, timeoutsMs } from '../framework/timeouts.ts';

const point = { id: 'a', vector: [1, 2, 3] };

test('above the watermark: reads, searches and deletes go on, other writes are refused at every door', async (t) => {
  const directory = await temporaryDirectory(t);
  const { blocks, bavail } = await statfs(directory);
  if (1 - bavail / blocks < 0.012) return t.skip('the disk under the temporary directory is all but empty');
  const dataDirectory = join(directory, 'data');
  const before = await startServer(t, { dataDirectory });
  const writer = new ShoalClient(before);
  await writer.createCollection({ name: 'docs', dimension: 3 });
  await writer.upsert({ collection: 'docs', points: [point, ...Array.from({ length: 4 }, (_, i) => ({ id: `d${i}`, vector: [1, i, 1] }))] });
  writer.close();
  await before.end('SIGTERM');

  const server = await startServer(t, { dataDirectory, flags: ['--disk-read-only-at', '0.01'] });
  const doors = doorsTo(server, server.key);
  atEnd(t, () => doors.forEach((door) => door.close()));
  for (const [i, door] of doors.entries()) {
    await assertReadOnly(door);
    assert.equal(await door.search('docs', [1, 2, 3]), undefined, `search by ${door.name}`);
    assert.equal(await door.get('docs', 'a'), undefined, `get by ${door.name}`);
    assert.equal(await door.delete('docs', `d${i}`), undefined, `delete by ${door.name}`);
  }
  const http = new HttpConnection(server.httpUrl, server.key);
  const answer = await http.send('/shoal/v1/collections/docs/points', { body: { points: [point] } });
  assert.ok(answer.headers.get('retry-after') !== null, 'Retry-After');
  const client = new ShoalClient(server);
  atEnd(t, () => client.close());
  assert.equal(await client.count('docs'), 1, 'what is left after the deletes');
  await assert.rejects(client.changePayload({ collection: 'docs', changes: [{ id: 'a', set: { a: 1 } }] }), /RESOURCE_EXHAUSTED/);
});

test('a disk that fills up past the watermark, and has room again', async (t) => {
  const disk = await smallDisk(t, 96);
  if (disk === undefined) return t.skip('needs root and mount namespaces');
  const server = await startServer(t, { dataDirectory: disk.dataDirectory, under: disk.enter });
  const client = new ShoalClient(server);
  atEnd(t, () => client.close());
  const doors = doorsTo(server, server.key);
  atEnd(t, () => doors.forEach((door) => door.close()));
  await client.createCollection({ name: 'docs', dimension: 3 });
  await client.upsert({ collection: 'docs', points: [point, { id: 'b', vector: [0, 1, 0] }] });

  await disk.fillBut(5 * 256);
  await eventually(timeoutsMs.request, 'read-only', async () => ((await doors[0]!.upsert('docs', [point])) === undefined ? undefined : true));
  for (const door of doors) await assertReadOnly(door);
  assert.equal(await doors[0]!.delete('docs', 'b'), undefined, 'a delete');
  assert.equal(await client.count('docs'), 1);
  assert.equal((await new HttpConnection(server.httpUrl, undefined).send('/health')).status, 200);

  await disk.empty();
  await eventually(timeoutsMs.request, 'writes taken again', async () => ((await doors[0]!.upsert('docs', [point])) === undefined ? true : undefined));
  for (const door of doors) assert.equal(await door.upsert('docs', [{ id: `again by ${door.name}`, vector: [1, 1, 1] }]), undefined, door.name);
});

test('a disk with no room for the exact vectors of a quantised collection: said by name, nothing lost, and made up for', async (t) => {
  const disk = await smallDisk(t, 160);
  if (disk === undefined) return t.skip('needs root and mount namespaces');
  const server = await startServer(t, { dataDirectory: disk.dataDirectory, under: disk.enter, flags: ['--disk-read-only-at', '1'] });
  const client = new ShoalClient(server);
  atEnd(t, () => client.close());
  const dimension = 1_024;
  await client.createCollection({ name: 'docs', dimension, metric: 'euclidean', index: { quantization: 'int8' } });
  const acknowledged: number[] = [];
  const write = async (from: number, count: number): Promise<boolean> => {
    const points = Array.from({ length: count }, (_, i) => ({ id: String(from + i), packedVector: packVector(vectorOf(from + i)) }));
    try {
      await client.upsert({ collection: 'docs', points });
    } catch (error) {
      if (error instanceof GrpcFailure) return false;
      throw error;
    }
    for (let i = 0; i < count; i++) acknowledged.push(from + i);
    return true;
  };
  const vectorOf = (i: number): Float32Array => Float32Array.from({ length: dimension }, (_, at) => Math.sin(i * 12.9898 + at * 78.233));
  const counts = async (): Promise<{ graph: number; tail: number }> => {
    const { graphPointCount, tailPointCount } = (await client.collection('docs')).shards[0]!.statistics!;
    return { graph: Number(graphPointCount), tail: Number(tailPointCount) };
  };
  const assertFound = async (): Promise<void> => {
    for (const i of [acknowledged[0]!, acknowledged[400]!, acknowledged.at(-1)!]) {
      const { hits } = await client.search('docs', { packedVector: packVector(vectorOf(i)), topK: 1 });
      assert.deepEqual([hits[0]!.id, hits[0]!.score], [String(i), 1]);
    }
  };
  // Just below what has a graph.
  for (let from = 0; from < 960; from += 60) assert.ok(await write(from, 60));
  // The log has room for what follows; the file of vectors keeps away from the last of the disk.
  await disk.fillBut(2_000);
  for (let from = 960; from < 1_000; from += 5) assert.ok(await write(from, 5));
  const isNamed = (): true | undefined => (/the graph takes no more points/.test(server.stderr) && /the file of exact vectors under \S+ cannot be written: No space left on device/.test(server.stderr) ? true : undefined);
  await eventually(timeoutsMs.request, `the log's word for it: ${server.stderr}`, async () => Promise.resolve(isNamed()));
  await assertFound();
  assert.deepEqual(await counts(), { graph: 0, tail: acknowledged.length });

  await disk.empty();
  await eventually(timeoutsMs.request, 'writes taken again', async () => ((await write(2_000, 1)) ? true : undefined));
  await eventually(timeoutsMs.request, 'the graph', async () => ((await counts()).graph === acknowledged.length ? true : undefined));
  await assertFound();
});

// Which file finds no room first, the log's or the store's, depends on the pages that are left.
for (const freePages of [1, 2]) test(`a disk that is really full but for ${freePages} pages: nothing acknowledged is lost`, (t) => fillUp(t, freePages));

async function fillUp(t: TestContext, freePages: number): Promise<void> {
  const disk = await smallDisk(t, 64);
  if (disk === undefined) return void t.skip('needs root and mount namespaces');
  const flags = ['--disk-read-only-at', '1'];
  let server = await startServer(t, { dataDirectory: disk.dataDirectory, under: disk.enter, flags });
  let client = new ShoalClient(server);
  await client.createCollection({ name: 'docs', dimension: 64, payloadIndexes: [{ field: 'n', type: 'integer' }] });
  const acknowledged = new Set<string>();
  const unknown = new Set<string>();
  const write = async (id: string): Promise<string | undefined> => {
    try {
      await client.upsert({ collection: 'docs', points: [{ id, vector: Array.from({ length: 64 }, (_, i) => i + 1), payload: { n: acknowledged.size, text: 'x'.repeat(2_000) } }] });
      acknowledged.add(id);
      return undefined;
    } catch (error) {
      if (!(error instanceof GrpcFailure)) throw error;
      if (error.code !== 'STORAGE_READ_ONLY' && error.code !== 'NOT_PRIMARY') unknown.add(id);
      return error.code ?? error.status;
    }
  };
  for (let i = 0; i < 200; i++) assert.equal(await write(`before-${i}`), undefined);

  await disk.fillBut(freePages);
  const answers = new Map<string, number>();
  for (let i = 0, refused = 0; i < 400 && refused < 20; i++) {
    const answer = (await write(`full-${i}`)) ?? 'OK';
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
    if (answer !== 'OK') refused++;
    if (answer === 'UNAVAILABLE') break;
  }
  assert.ok([...answers.keys()].some((answer) => answer !== 'OK'), `the disk never was full: ${JSON.stringify([...answers])}`);
  // A refused entry ends the term; until the next one finds room to begin, nobody leads.
  for (const answer of answers.keys()) assert.match(answer, /^(OK|STORAGE_READ_ONLY|OUTCOME_UNKNOWN|UNAVAILABLE|NOT_PRIMARY)$/);

  await disk.empty();
  let outcome = 'went on';
  void server.exit.then(({ code, signal }) => (outcome = `ended with ${code ?? signal}`));
  await eventually(timeoutsMs.request, 'writes taken again, or the end of the process', async () => ((await write('again')) === undefined || outcome !== 'went on' ? true : undefined));
  t.diagnostic(`answers on a full disk: ${JSON.stringify(Object.fromEntries(answers))}; the process ${outcome}`);
  client.close();
  await server.end('SIGKILL');
  server = await startServer(t, { dataDirectory: disk.dataDirectory, under: disk.enter, flags });
  client = new ShoalClient(server);
  const found = new Set((await client.scrollAll('docs', 1_000)).map(({ id }) => id));
  assert.deepEqual([...acknowledged].filter((id) => !found.has(id)), [], 'acknowledged and lost');
  assert.deepEqual([...found].filter((id) => !acknowledged.has(id) && !unknown.has(id)), [], 'refused and yet there');
  assert.equal(await write('after'), undefined);
  assert.deepEqual((await client.verify()).faults, []);
  client.close();
}

async function assertReadOnly(door: Door): Promise<void> {
  const refusals: (Refusal | undefined)[] = [await door.upsert('docs', [{ id: `new by ${door.name}`, vector: [1, 1, 1] }])];
  for (const refusal of refusals) assert.deepEqual(refusal, door.expected('STORAGE_READ_ONLY'), door.name);
  assert.equal(errorTable.STORAGE_READ_ONLY.retry, 'after-backoff');
}

interface SmallDisk {
  readonly dataDirectory: string;
  /** Runs a program where the disk is mounted. */
  readonly enter: readonly string[];
  /** Puts a file on it that leaves so many pages of 4 KiB. */
  fillBut(freePages: number): Promise<void>;
  empty(): Promise<void>;
}

/** A tmpfs that only the processes of `enter` see; gone with the process that holds the namespace. */
async function smallDisk(t: TestContext, mebibytes: number): Promise<SmallDisk | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
  const mountPoint = join(await temporaryDirectory(t), 'disk');
  await mkdir(mountPoint);
  const script = `mount -t tmpfs -o size=${mebibytes}m shoal "$0" && echo mounted && exec sleep 600`;
  const holder = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, mountPoint], { stdio: ['ignore', 'pipe', 'ignore'] });
  atEnd(t, () => holder.kill('SIGKILL'));
  const ready = await Promise.race([once(holder.stdout, 'data').then(() => true), once(holder, 'exit').then(() => false), once(holder, 'error').then(() => false)]);
  if (!ready) return undefined;
  const enter = ['nsenter', '--target', String(holder.pid), '--mount'];
  const run = async (script: string): Promise<string> => {
    const { code, stdout, stderr } = await runProgram(enter[0]!, [...enter.slice(1), 'sh', '-c', script, mountPoint]);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  return {
    dataDirectory: join(mountPoint, 'data'),
    enter,
    async fillBut(freePages) {
      const available = Number(await run('stat -f -c %a "$0"'));
      await run(`dd if=/dev/zero of="$0/filler" bs=4096 count=${available - freePages} 2>/dev/null`);
    },
    empty: async () => void (await run('rm -f "$0/filler"')),
  };
}

