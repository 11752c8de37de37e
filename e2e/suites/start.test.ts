/**
 * Aim: the process starts, says where it is, and ends in order. What it prints can be pasted; what it serves beside the
 * dialects is there; SIGTERM loses no request that was under way; a directory that it must not open is refused in words.
 */

import assert from 'node:assert/strict';
import { createWriteStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { credentials, Client, Metadata } from '@grpc/grpc-js';
import { atEnd } from '../framework/cleanup.ts';
import { outcomeOf, runProgram, spawnShoal } from '../framework/command-line.ts';
import { GrpcConnection, GrpcFailure } from '../framework/grpc-client.ts';
import { HttpConnection } from '../framework/http-client.ts';
import { ServerRefusedError, startServer, type ServerOptions } from '../framework/server-process.ts';
import { ShoalClient } from '../framework/shoal-client.ts';
import { temporaryDirectory } from '../framework/temporary-directory.ts';
import { eventually, timeoutsMs, within } from '../framework/timeouts.ts';

test('the first start prints a key and three lines that work when pasted; the second start prints no key', async (t) => {
  const dataDirectory = join(await temporaryDirectory(t), 'data');
  const first = await startServer(t, { dataDirectory, withKey: false });
  const linesOf = (stdout: string): string[] => stdout.split('\n').filter((line) => line.startsWith('curl '));
  const answers: unknown[] = [];
  for (const line of linesOf(first.stdout)) {
    const { code, stdout, stderr } = await runProgram('bash', ['-c', line]);
    assert.equal(code, 0, stderr);
    answers.push(JSON.parse(stdout));
  }
  const [created, upserted, found] = answers as [unknown, unknown, { results: { id: string; payload: object }[] }];
  assert.deepEqual([created, upserted], [{ success: true }, { upserted: 2 }]);
  assert.deepEqual(found.results.map(({ id, payload }) => ({ id, payload })), [{ id: 'a', payload: { colour: 'red' } }, { id: 'b', payload: {} }]);
  assert.deepEqual(await first.end('SIGTERM'), { code: 0, signal: null });

  const second = await startServer(t, { dataDirectory, withKey: false });
  t.diagnostic(`first start ${Math.round(first.startMs)} ms, second ${Math.round(second.startMs)} ms`);
  assert.match(first.stdout, /^ {2}key +shoal_\w+/m);
  assert.doesNotMatch(second.stdout, /shoal_|^ {2}key/m);
  assert.match(second.stdout, new RegExp(`^ {2}data +${dataDirectory}$`, 'm'));
  // The lines of later starts take the key from the environment.
  const search = linesOf(second.stdout)[2]!;
  const again = await runProgram('bash', ['-c', `SHOAL_API_KEY=${first.key}; ${search}`]);
  assert.deepEqual(JSON.parse(again.stdout), found, 'the key and the points of the first start');
  assert.ok(!second.stderr.includes(first.key) && !first.stderr.includes(first.key), 'no key in a log');
});

test('what is served beside the dialects', async (t) => {
  const server = await startServer(t, { dataDirectory: join(await temporaryDirectory(t), 'data') });
  const http = new HttpConnection(server.httpUrl, undefined);
  const table: [path: string, headers: Record<string, string>, type: RegExp, text: RegExp][] = [
    ['/health', {}, /^text\/plain/, /^OK$/],
    ['/health', { accept: 'application/json' }, /^application\/json/, /^\{"status":"ok"\}$/],
    ['/livez', {}, /^text\/plain/, /^OK$/],
    ['/readyz', {}, /^text\/plain/, /^OK$/],
    ['/metrics', {}, /^text\/plain/, /^# HELP shoal_/m],
    ['/openapi.json', {}, /^application\/json/, /"openapi":"3\./],
    ['/docs', {}, /^text\/html/, /swagger/i],
  ];
  for (const [path, headers, type, text] of table) {
    const answer = await http.send(path, { headers });
    assert.equal(answer.status, 200, path);
    assert.match(answer.headers.get('content-type') ?? '', type, path);
    assert.match(answer.text, text, path);
  }
  const { paths } = (await http.send('/openapi.json')).json as { paths: Record<string, unknown> };
  for (const path of ['/v1/collections/{collection}/points/search', '/shoal/v1/collections/{collection}/search']) assert.ok(path in paths, path);

  const open = new GrpcConnection(server.grpcAddress, undefined);
  atEnd(t, () => open.close());
  assert.deepEqual([...(await open.callBytes('/grpc.health.v1.Health/Check', Buffer.alloc(0)))], [8, 1], 'SERVING');
  const services = await listedServices(server.grpcAddress);
  for (const name of ['shoal.v1.PointService', 'shoal.v1.SearchService', 'vectron.v1.VectronService', 'grpc.health.v1.Health']) assert.ok(services.includes(name), `${name} in ${services}`);
});

/** Asks the reflection service for its list and returns the answer's bytes as text: names stand in it as they are. */
function listedServices(address: string): Promise<string> {
  const client = new Client(address, credentials.createInsecure());
  const same = (bytes: Buffer): Buffer => bytes;
  const call = client.makeBidiStreamRequest('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', same, same, new Metadata(), { deadline: Date.now() + timeoutsMs.request });
  return new Promise<string>((resolve, reject) => {
    call.on('data', (bytes: Buffer) => resolve(bytes.toString('latin1'))).on('error', reject);
    // list_services = 7, an empty string
    call.write(Buffer.from([0x3a, 0]));
    call.end();
  }).finally(() => client.close());
}

test('SIGTERM finishes the requests under way and exits 0', async (t) => {
  const dataDirectory = join(await temporaryDirectory(t), 'data');
  const server = await startServer(t, { dataDirectory });
  const client = new ShoalClient(server);
  atEnd(t, () => client.close());
  await client.createCollection({ name: 'docs', dimension: 3 });

  // A request of which the server has half when the signal comes.
  const body = JSON.stringify({ points: [{ id: 'half', vector: [1, 2, 3] }] });
  const socket = connect(Number(new URL(server.httpUrl).port), '127.0.0.1');
  atEnd(t, () => socket.destroy());
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text)).on('error', () => undefined);
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const metricsOf = async (): Promise<string> => (await new HttpConnection(server.httpUrl, undefined).send('/metrics')).text;
  socket.write(`POST /v1/collections/docs/points HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${server.key}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 20)}`);
  await eventually(timeoutsMs.request, 'the request to have begun', async () => (/^shoal_requests_in_flight 1$/m.test(await metricsOf()) ? true : undefined));

  const acknowledged: string[] = [];
  let ending = false;
  const refused: unknown[] = [];
  const writerCount = 6;
  const writers = Array.from({ length: writerCount }, async (_, writer) => {
    for (let i = 0; ; i++) {
      const id = `${writer}-${i}`;
      try {
        await client.upsert({ collection: 'docs', points: [{ id, vector: [writer + 1, i, 1] }] });
        acknowledged.push(id);
      } catch (error) {
        if (!ending || !(error instanceof GrpcFailure)) throw error;
        refused.push(error.status);
        return;
      }
    }
  });
  const haveWritten = (): boolean => new Set(acknowledged.map((id) => id[0])).size === writerCount;
  await Promise.race([Promise.all(writers), eventually(timeoutsMs.request, 'a write of each writer', () => Promise.resolve(haveWritten() ? true : undefined))]);
  ending = true;
  const exit = server.end('SIGTERM');
  await eventually(timeoutsMs.serverStop, 'the end of /readyz', () => new HttpConnection(server.httpUrl, undefined).send('/readyz').then(({ status }) => (status === 503 ? true : undefined), () => true));
  socket.write(body.slice(20));
  assert.deepEqual(await exit, { code: 0, signal: null });
  await within(timeoutsMs.request, 'the end of the connection', closed);
  await Promise.all(writers);
  assert.match(answer, /^HTTP\/1\.1 200 [^]*\{"upserted":1\}$/, 'the request that was half there');
  assert.deepEqual([...new Set(refused)], ['UNAVAILABLE'], 'what later requests are told');

  const restarted = await startServer(t, { dataDirectory });
  const reader = new ShoalClient(restarted);
  atEnd(t, () => reader.close());
  const ids = ['half', ...acknowledged];
  t.diagnostic(`${acknowledged.length} writes acknowledged before the end`);
  const found = new Set((await reader.scrollAll('docs', 10_000)).map(({ id }) => id));
  assert.deepEqual(ids.filter((id) => !found.has(id)), [], 'acknowledged and lost');
});

test('SIGTERM during an import: it waits for the next server, and nothing is lost', async (t) => {
  const directory = await temporaryDirectory(t);
  const dataDirectory = join(directory, 'data');
  const file = join(directory, 'points.jsonl');
  const count = 20_000;
  const out = createWriteStream(file);
  for (let i = 0; i < count; i++) out.write(`${JSON.stringify({ id: `row-${i}`, vector: [i, 1, i % 7, 2], payload: { i } })}\n`);
  await new Promise<void>((resolve, reject) => out.end((error?: Error | null) => (error ? reject(error) : resolve())));

  const server = await startServer(t, { dataDirectory });
  const client = new ShoalClient(server);
  await client.createCollection({ name: 'rows', dimension: 4, shards: 2 });
  const importer = spawnShoal(['import', file, '--collection', 'rows', '--batch-size', '200', '--output', 'json'], server);
  const imported = outcomeOf('the import', importer);
  atEnd(t, () => importer.kill('SIGKILL'));
  const before = await eventually(timeoutsMs.request, 'some points of the import', () => client.count('rows').then((found) => (found > 0 ? found : undefined)));
  client.close();
  assert.ok(before < count, 'the import was over before the signal');
  assert.deepEqual(await server.end('SIGTERM'), { code: 0, signal: null });

  const port = server.grpcAddress.split(':').at(-1)!;
  const next = await startServer(t, { dataDirectory, flags: ['--grpc-port', port] });
  const outcome = await imported;
  assert.equal(outcome.code, 0, outcome.stderr);
  const reader = new ShoalClient(next);
  atEnd(t, () => reader.close());
  const points = await reader.scrollAll('rows', 5_000);
  assert.equal(points.length, count);
  assert.ok(points.every(({ id, payload }) => id === `row-${payload?.['i']}`));
  t.diagnostic(`ended after ${before} of ${count} points; ${outcome.stdout.trim()}`);
});

test('directories that are refused', async (t) => {
  const directory = await temporaryDirectory(t);
  const dataDirectory = join(directory, 'data');
  const refusal = async (options: ServerOptions): Promise<string> => {
    try {
      await startServer(t, options);
    } catch (error) {
      assert.ok(error instanceof ServerRefusedError, String(error));
      assert.deepEqual(error.exit, { code: 1, signal: null });
      return error.stderr;
    }
    return assert.fail('the server started');
  };
  const server = await startServer(t, { dataDirectory });
  assert.match(await refusal({ dataDirectory }), /UNAVAILABLE: the store is in use: .*another server.*data.*LOCK/, 'a second server');
  const health = await new HttpConnection(server.httpUrl, undefined).send('/health');
  assert.equal(health.status, 200, 'the first one goes on');

  const port = new URL(server.httpUrl).port;
  const taken = await refusal({ dataDirectory: join(directory, 'other'), flags: ['--http-port', port] });
  assert.match(taken, new RegExp(`UNAVAILABLE: cannot listen for HTTP on 127.0.0.1:${port}: another process listens there`), 'a port that is taken');
  await server.end('SIGTERM');

  const format = join(dataDirectory, 'FORMAT');
  const stored = await readFile(format, 'utf8');
  await writeFile(format, stored.replace(/"format":\d+/, '"format":99'));
  assert.match(await refusal({ dataDirectory }), /FORMAT_TOO_NEW: .*data has format 99; this version reads up to \d+/, 'a newer format');
  await writeFile(format, stored);

  await writeFile(join(directory, 'letter.txt'), 'not ours');
  assert.match(await refusal({ dataDirectory: directory }), /INVALID_ARGUMENT: .*not a Shoal data directory/, 'somebody else’s directory');
});
