/** The life of a gateway: what it refuses to start with, traces through it, slow requests, TLS, and its end. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { Client, Metadata, credentials, status } from '@grpc/grpc-js';
import type { MethodDefinition, ServiceError } from '@grpc/grpc-js';
import type { Dialect } from '../dialects/dialect.ts';
import { sleep, systemClock } from '../kernel/clock.ts';
import { createOtlpTracer } from '../telemetry/otlp-tracer.ts';
import { writeSecretVolume } from '../wire/secret-volume.fixture.ts';
import { givenKey, startTestGateway, testDialect, testService } from './test-gateway.ts';
import type { TestGateway } from './test-gateway.ts';

const headers = { 'x-api-key': givenKey, 'content-type': 'application/json' };
const post = (gateway: TestGateway, path: string, more: Record<string, string> = {}): Promise<Response> => fetch(gateway.base + path, { method: 'POST', headers: { ...headers, ...more }, body: '{}' });

function callGrpc(gateway: TestGateway, name: string, more: Record<string, string> = {}): Promise<{ code: number; value?: unknown }> {
  const method = testService[name] as MethodDefinition<unknown, unknown>;
  const metadata = new Metadata();
  for (const [key, value] of Object.entries({ 'x-api-key': givenKey, ...more })) metadata.set(key, value);
  return new Promise((resolve) =>
    gateway.client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, 1, metadata, (error: ServiceError | null, value) => resolve(error === null ? { code: status.OK, value } : { code: error.code })),
  );
}

test('refuses an open address without TLS, and two dialects with one route', async () => {
  const gateway = await startTestGateway();
  await assert.rejects(startTestGateway({ argv: ['--host', '0.0.0.0'] }), { code: 'INVALID_ARGUMENT' });
  const dialect = testDialect(gateway.probe);
  const second: Dialect = { ...dialect, name: 'second', routes: [{ ...dialect.routes.find(({ method }) => method === 'DELETE')!, path: '/test/items/{other}' }] };
  await assert.rejects(startTestGateway({ dialects: [dialect, second] }), { message: 'DELETE /test/items/{other} is declared by test and by second' });
  await gateway.stop();
});

test('off loopback the metrics need a key that may read, unless told', async () => {
  const scrape = async (argv: string[]): Promise<number[]> => {
    const gateway = await startTestGateway({ argv: ['--host', '0.0.0.0', '--insecure', ...argv] });
    const statuses = [(await fetch(`${gateway.base}/metrics`)).status, (await fetch(`${gateway.base}/metrics`, { headers })).status];
    await gateway.stop();
    return statuses;
  };
  assert.deepEqual(await scrape([]), [401, 200]);
  assert.deepEqual(await scrape(['--open-metrics']), [200, 200]);
  assert.deepEqual(await scrape(['--no-metrics']), [404, 404]);
});

test('slow requests are logged and counted, fast ones are not', async () => {
  let passedMs = 0;
  const clock = { ...systemClock, monotonicMs: () => passedMs };
  const gateway = await startTestGateway({ clock, argv: ['--slow-query-ms', '30'] });
  await post(gateway, '/test/echo');
  const waiting = post(gateway, '/test/wait', { 'x-request-id': 'slow-one' });
  while (gateway.probe.waiting < 1) await sleep(systemClock, 1);
  passedMs += 50;
  gateway.probe.release();
  assert.equal((await waiting).status, 200);
  const slow = (): TestGateway['logs'] => gateway.logs.filter(({ message }) => message === 'slow request');
  while (slow().length === 0) await sleep(systemClock, 1);
  const [{ fields }, ...others] = slow() as [TestGateway['logs'][number], ...TestGateway['logs']];
  assert.deepEqual(fields, { requestId: 'slow-one', transport: 'http', dialect: 'test', operation: 'post_test_wait', subject: 'given-1', code: 'OK', tookMs: 50, requestBytes: 2, responseBytes: fields.responseBytes });
  assert.deepEqual(others, []);
  await gateway.stop();
});

test("the caller's trace goes through both transports to the collector", async () => {
  const bodies: Buffer[] = [];
  const collector = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => bodies.push(chunk)).on('end', () => response.end());
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const { port } = collector.address() as { port: number };
  const tracer = createOtlpTracer({ endpoint: `http://127.0.0.1:${port}`, sampleRatio: 0, version: '0' });
  const gateway = await startTestGateway({ tracer });
  const traceIds = ['0af7651916cd43dd8448eb211c80319c', '1af7651916cd43dd8448eb211c80319c'];
  const traceparents = traceIds.map((id) => `00-${id}-b7ad6b7169203331-01`);
  await post(gateway, '/test/echo', { traceparent: traceparents[0]! });
  await callGrpc(gateway, 'Echo', { traceparent: traceparents[1]! });
  await post(gateway, '/test/echo');
  assert.deepEqual(gateway.probe.traceparents.slice(0, 2).map((value) => value?.slice(3, 35)), traceIds);
  await gateway.stop();
  await tracer.close();
  collector.closeAllConnections();
  collector.close();
  const sent = Buffer.concat(bodies);
  for (const id of traceIds) assert.ok(sent.includes(Buffer.from(id, 'hex')));
  assert.ok(sent.includes('post_test_echo') && sent.includes('Echo'));
  assert.ok(!sent.includes(givenKey));
});

test('closing lets requests in flight end, and takes no new ones', async () => {
  const gateway = await startTestGateway();
  await (await fetch(`${gateway.base}/test/open`)).text();
  const waiting = post(gateway, '/test/wait');
  const releases: (() => void)[] = [];
  while (gateway.probe.waiting < 1) await sleep(systemClock, 1);
  releases.push(gateway.probe.release);
  const call = callGrpc(gateway, 'Wait');
  while (gateway.probe.waiting < 2) await sleep(systemClock, 1);
  releases.push(gateway.probe.release);
  const closed = gateway.close();
  await sleep(systemClock, 10);
  await assert.rejects(fetch(`${gateway.base}/test/open`));
  for (const release of releases) release();
  const response = await waiting;
  assert.deepEqual([response.status, await response.text()], [200, 'released']);
  assert.deepEqual(await call, { code: status.OK, value: 'released' });
  await closed;
  await gateway.stop();
  assert.deepEqual(gateway.probe.aborted, []);
});

test('what does not end within the grace is aborted and still answered', async () => {
  const gateway = await startTestGateway({ argv: ['--shutdown-grace', '30'] });
  const waiting = post(gateway, '/test/wait');
  while (gateway.probe.waiting < 1) await sleep(systemClock, 1);
  const call = callGrpc(gateway, 'Wait');
  while (gateway.probe.waiting < 2) await sleep(systemClock, 1);
  const closed = gateway.close();
  const response = await waiting;
  assert.deepEqual([response.status, ((await response.json()) as { code: string }).code], [503, 'SHUTTING_DOWN']);
  assert.deepEqual(await call, { code: status.UNAVAILABLE });
  await closed;
  await gateway.stop();
  assert.deepEqual(gateway.probe.aborted, ['SHUTTING_DOWN', 'SHUTTING_DOWN']);
});

/** False where there is no openssl to make a certificate with. */
function makeCertificate(directory: string, name: string): boolean {
  const files = ['-keyout', join(directory, 'key.pem'), '-out', join(directory, 'cert.pem')];
  try {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', ...files, '-days', '1', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The name in the certificate that a new connection is shown. */
function presentedName(port: number, protocol: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: [protocol] }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

test('TLS for HTTP and gRPC, and a certificate that is renewed while they run', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-tls-'));
  const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  context.after(() => rm(directory, { recursive: true }));
  const pairs: { key: Buffer; certificate: Buffer }[] = [];
  for (const name of ['second', 'first']) {
    if (!makeCertificate(directory, name)) return context.skip('there is no openssl to make a certificate with');
    pairs.unshift({ key: await readFile(key), certificate: await readFile(certificate) });
  }
  const gateway = await startTestGateway({ argv: ['--host', '0.0.0.0', '--tls-cert', certificate, '--tls-key', key], bounds: { certificateCheckIntervalMs: 20 } });
  context.after(() => gateway.stop());
  const statusCode = await new Promise((resolve, reject) => get(`${gateway.base.replace('http', 'https')}/health`, { rejectUnauthorized: false }, (response) => resolve(response.resume().statusCode)).on('error', reject));
  assert.equal(statusCode, 200);
  assert.equal((await callGrpc(gateway, 'Echo')).code, status.UNAVAILABLE, 'a client without TLS is not served');
  const callOverTls = async (): Promise<unknown> => {
    const client = new Client(`127.0.0.1:${gateway.grpcAddress.port}`, credentials.createSsl(await readFile(certificate)), { 'grpc.ssl_target_name_override': 'localhost' });
    const answer = await callGrpc({ ...gateway, client }, 'Echo');
    client.close();
    return answer;
  };
  assert.deepEqual(await callOverTls(), { code: status.OK, value: 1 });

  const logged = async (message: string): Promise<void> => {
    while (!gateway.logs.some((line) => line.message === message)) await sleep(systemClock, 5);
  };
  await writeFile(certificate, pairs[1]!.certificate);
  await logged('the TLS certificate could not be read anew');
  assert.equal(await presentedName(gateway.grpcAddress.port, 'h2'), 'first', 'half a renewal changes nothing');
  await writeFile(key, pairs[1]!.key);
  await logged('the TLS certificate was read anew');
  assert.deepEqual([await presentedName(gateway.httpAddress.port, 'http/1.1'), await presentedName(gateway.grpcAddress.port, 'h2')], ['second', 'second']);
  assert.deepEqual(await callOverTls(), { code: status.OK, value: 1 });
});

test('a certificate in a volume of a Secret is taken up when Kubernetes exchanges it, and its days are shown', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-tls-'));
  context.after(() => rm(directory, { recursive: true }));
  const volume = join(directory, 'volume');
  const exchange = async (name: string): Promise<boolean> => {
    if (!makeCertificate(directory, name)) return false;
    await writeSecretVolume(volume, { 'tls.crt': await readFile(join(directory, 'cert.pem')), 'tls.key': await readFile(join(directory, 'key.pem')) });
    return true;
  };
  if (!(await exchange('first'))) return context.skip('there is no openssl to make a certificate with');
  const gateway = await startTestGateway({ argv: ['--host', '0.0.0.0', '--tls-cert', join(volume, 'tls.crt'), '--tls-key', join(volume, 'tls.key'), '--open-metrics'], bounds: { certificateCheckIntervalMs: 20 } });
  context.after(() => gateway.stop());
  const names = async (): Promise<string[]> => [await presentedName(gateway.httpAddress.port, 'http/1.1'), await presentedName(gateway.grpcAddress.port, 'h2')];
  assert.deepEqual(await names(), ['first', 'first']);
  await exchange('second');
  while (!gateway.logs.some(({ message }) => message === 'the TLS certificate was read anew')) await sleep(systemClock, 5);
  assert.deepEqual(await names(), ['second', 'second']);
  const page = await new Promise<string>((resolve, reject) => {
    get(`${gateway.base.replace('http', 'https')}/metrics`, { rejectUnauthorized: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString())).on('end', () => resolve(text));
    }).on('error', reject);
  });
  assert.match(page, /^shoal_certificate_remaining_days\{certificate="public"\} 0\.99/m);
});

test('certificate files that cannot be used are said in a sentence', async () => {
  const files = ['--tls-cert', '/nowhere/cert.pem', '--tls-key', '/nowhere/key.pem'];
  await assert.rejects(startTestGateway({ argv: files }), { code: 'INVALID_ARGUMENT', message: /^the files of --tls-cert and --tls-key cannot be used: / });
});
