/**
 * Aim: no write is acknowledged before it is on the disk. `kill -9` cannot show that, because the page cache survives it;
 * the order of system calls can. Under strace, no answer goes to a client's socket before an fdatasync of the log segment
 * that began after the record's append had ended and has itself ended.
 *
 * The same check with syncing switched off must find every acknowledgement too early: else it checks nothing.
 */

import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { applyMask, decodeFrameHeader, decodeRecord, frameHeaderBytes, segmentHeaderBytes } from '../../pods/log/format.ts';
import { decodeEntry } from '../../pods/shard/entry-codec.ts';
import { countFrom } from '../framework/seed.ts';
import { HttpConnection } from '../framework/http-client.ts';
import { runProgram } from '../framework/command-line.ts';
import { startServer, type ServerProcess } from '../framework/server-process.ts';
import { ShoalClient } from '../framework/shoal-client.ts';
import { readSystemCalls, straceFlags, type SystemCall } from '../framework/system-calls.ts';
import { temporaryDirectory } from '../framework/temporary-directory.ts';

const requestCount = countFrom('SHOAL_DURABILITY_REQUESTS', 40);
const writerCount = 9;

const traced = ['write', 'writev', 'pwrite64', 'pwritev', 'sendto', 'sendmsg', 'fdatasync', 'fsync'];

const straceIsThere = (await runProgram('strace', ['--version']).catch(() => undefined))?.code === 0;

/** Where everything has to be shown, strace has to be there; on a developer's machine its absence is said and passed over. */
const without = straceIsThere ? false : 'NOT CHECKED: strace is not installed (Debian: apt-get install strace)';

test('strace is there', { skip: process.env['CI'] === undefined && without }, () => {
  assert.equal(straceIsThere, true, 'this suite needs strace: install the package "strace"');
});

test('no acknowledgement precedes the sync of what it acknowledges', { skip: without }, async (t) => {
  const run = await tracedRun(t, {});
  const { early, checked } = judge(run);
  t.diagnostic(`${checked} acknowledgements, ${run.calls.filter(isLogAppend).length} appends, ${run.calls.filter(isLogSync).length} syncs of the log`);
  assert.equal(checked, run.acknowledged, 'acknowledgements found among the system calls');
  assert.deepEqual(early, [], 'acknowledgements before their sync');
});

test('the check finds every acknowledgement too early when the log is not synced', { skip: without }, async (t) => {
  const run = await tracedRun(t, { SHOAL_TEST_UNSAFE_SKIP_SYNC: '1' });
  const { early, checked } = judge(run);
  assert.equal(checked, run.acknowledged, 'acknowledgements found among the system calls');
  assert.equal(early.length, checked, 'acknowledgements that were too early');
});

interface TracedRun {
  readonly calls: readonly SystemCall[];
  /** Where the records that name an id lie, in their order, by id. */
  readonly records: ReadonlyMap<string, readonly LogPlace[]>;
  /** How many requests were answered. */
  readonly acknowledged: number;
}

interface LogPlace {
  readonly segment: string;
  readonly start: number;
  readonly end: number;
}

async function tracedRun(t: TestContext, environment: Record<string, string>): Promise<TracedRun> {
  const directory = await temporaryDirectory(t);
  const trace = join(directory, 'trace');
  const dataDirectory = join(directory, 'data');
  const server = await startServer(t, { dataDirectory, environment, under: ['strace', ...straceFlags(trace, traced, 16_384)] });
  const acknowledged = await writeConcurrently(server);
  await server.end('SIGKILL');
  return { calls: await readSystemCalls(trace), records: await recordsOf(join(dataDirectory, 'log')), acknowledged };
}

/** Writers over every door, each with one request at a time on a connection of its own; ids are unique to a writer. */
async function writeConcurrently(server: ServerProcess): Promise<number> {
  const setup = new ShoalClient(server);
  await setup.createCollection({ name: 'one', dimension: 4 });
  await setup.createCollection({ name: 'three', dimension: 4, shards: 3 });
  setup.close();
  const http = new HttpConnection(server.httpUrl, server.key);
  const writers = Array.from({ length: writerCount }, async (_, writer) => {
    const collection = writer % 2 === 0 ? 'one' : 'three';
    const grpc = new ShoalClient(server);
    let acknowledged = 0;
    const send = async (work: Promise<unknown>): Promise<void> => {
      await work;
      acknowledged++;
    };
    const post = async (path: string, body: unknown, headers: Record<string, string> = {}): Promise<void> => {
      const answer = await http.send(path, { body, headers });
      assert.equal(answer.status, 200, answer.text);
    };
    const vector = [1, 2, 3, 4];
    for (let request = 0; request < requestCount; request++) {
      const id = `durable-${writer}-${request}-end`;
      switch (writer % 3) {
        case 0:
          await send(grpc.upsert({ collection, points: [{ id, vector }] }));
          await send(grpc.changePayload({ collection, changes: [{ id, set: { a: request } }] }));
          if (request % 2 === 0) await send(grpc.delete({ collection, points: [{ id }] }));
          break;
        case 1:
          await send(post(`/shoal/v1/collections/${collection}/points`, { points: [{ id, vector }] }));
          if (request % 2 === 0) await send(post(`/shoal/v1/collections/${collection}/points/delete`, { points: [{ id }] }));
          break;
        default:
          // Vectron's answer names no point, but each answer repeats the request's own id.
          await send(post(`/v1/collections/${collection}/points`, { points: [{ id, vector }] }, { 'x-request-id': id }));
      }
    }
    grpc.close();
    return acknowledged;
  });
  return (await Promise.all(writers)).reduce((sum, count) => sum + count, 0);
}

const isLogSegment = ({ path }: SystemCall): boolean => /\/log\/\d{16}\.log$/.test(path);
const isLogAppend = (call: SystemCall): boolean => isLogSegment(call) && /^pwrite/.test(call.name);
const isLogSync = (call: SystemCall): boolean => isLogSegment(call) && /^fdatasync$|^fsync$/.test(call.name) && call.result === 0;

/** Looks at every answer: the k-th answer that names an id acknowledges the k-th record that does. */
function judge({ calls, records }: TracedRun): { early: string[]; checked: number } {
  const appends = calls.filter((call) => isLogAppend(call) && call.result > 0).map((call) => ({ call, start: offsetOf(call), end: offsetOf(call) + call.result }));
  const syncs = calls.filter(isLogSync);
  const answered = new Map<string, number>();
  const early: string[] = [];
  let checked = 0;
  for (const answer of calls) {
    // What it logs may go to a socket too, and names slow requests by their ids.
    if (!/^(socket|TCP|TCPv6)/.test(answer.path) || /^[12]</.test(answer.arguments)) continue;
    for (const id of new Set(answer.arguments.match(/durable-\d+-\d+-end/g))) {
      const order = answered.get(id) ?? 0;
      answered.set(id, order + 1);
      const place = records.get(id)?.[order];
      assert.ok(place !== undefined, `answer ${order} about ${id} has no record in the log`);
      const own = appends.filter(({ call, start, end }) => call.path.endsWith(place.segment) && start < place.end && end > place.start);
      assert.ok(own.length > 0, `the record of ${id} at ${place.start} was never appended`);
      const synced = own.every(({ call }) => syncs.some((sync) => sync.path === call.path && sync.begin > call.end && sync.end < answer.begin));
      if (!synced) early.push(`${id}, answer ${order}, line ${answer.begin + 1}`);
      checked++;
    }
  }
  return { early, checked };
}

/** The last argument of pwrite64 and pwritev. */
function offsetOf(call: SystemCall): number {
  const offset = /, (\d+)\) += \d+$/.exec(call.arguments.slice(-80))?.[1];
  assert.ok(offset !== undefined, `no offset in ${call.name}(${call.arguments.slice(-80)}`);
  return Number(offset);
}

/** Reads the log as it lies on the disk. */
async function recordsOf(logDirectory: string): Promise<Map<string, LogPlace[]>> {
  const places = new Map<string, LogPlace[]>();
  for (const segment of (await readdir(logDirectory)).filter((name) => name.endsWith('.log')).sort()) {
    const bytes = await readFile(join(logDirectory, segment));
    for (let start = segmentHeaderBytes; start < bytes.length; ) {
      const header = decodeFrameHeader(bytes.subarray(start, start + frameHeaderBytes));
      if (header === undefined) break;
      const end = start + header.frameBytes;
      if (end > bytes.length) break;
      const frame = Buffer.from(Uint8Array.from(bytes.subarray(start, end)).buffer);
      applyMask(frame, frameHeaderBytes, frame.length, header.mask);
      for (const id of idsIn(frame, frameHeaderBytes, frameHeaderBytes + header.recordBytes)) places.set(id, [...(places.get(id) ?? []), { segment, start, end }]);
      start = end;
    }
  }
  return places;
}

function* idsIn(frame: Buffer, start: number, end: number): Generator<string> {
  for (let offset = start; offset < end; ) {
    const record = decodeRecord(frame, offset, end);
    assert.ok(typeof record !== 'string', `a record cannot be read: ${String(record)}`);
    if (record.kind === 'entry') for (const operation of decodeEntry(record.payload).operations) if ('id' in operation) yield operation.id;
    offset += frame.readUInt32LE(offset);
  }
}
