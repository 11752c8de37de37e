import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { ShoalError } from '../kernel/errors.ts';
import { createOtlpTracer } from './otlp-tracer.ts';

/** A collector that keeps what it is sent. */
async function startCollector(): Promise<{ endpoint: string; requests: { url: string; body: Buffer }[]; close(): Promise<void> }> {
  const requests: { url: string; body: Buffer }[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      requests.push({ url: request.url ?? '', body: Buffer.concat(chunks) });
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return { endpoint: `http://127.0.0.1:${port}`, requests, close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(() => resolve()); }) };
}

const traceId = '0af7651916cd43dd8448eb211c80319c';

test('a span and its child reach the collector under the trace of the caller', async () => {
  const collector = await startCollector();
  const tracer = createOtlpTracer({ endpoint: collector.endpoint, sampleRatio: 0, version: '1.2.3' });
  const span = tracer.start('Search', `00-${traceId}-b7ad6b7169203331-01`, { dialect: 'shoal' });
  assert.match(span.traceparent ?? '', new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
  const child = span.child('shard.search', { shard: 3 });
  assert.notEqual(child.traceparent, span.traceparent);
  child.fail(new ShoalError('OVERLOADED', 'queue full'));
  child.end();
  span.end();
  await tracer.close();
  await collector.close();
  assert.deepEqual(collector.requests.map(({ url }) => url), ['/v1/traces']);
  const body = collector.requests[0]!.body;
  for (const text of ['Search', 'shard.search', 'OVERLOADED', 'shoal']) assert.ok(body.includes(text), text);
  assert.equal(body.toString('hex').split(traceId).length - 1, 2);
});

test('a request that the caller, or the ratio, left out is not sent, and its children neither', async () => {
  const collector = await startCollector();
  const tracer = createOtlpTracer({ endpoint: collector.endpoint, sampleRatio: 0, version: '1.2.3' });
  const left = tracer.start('Search', `00-${traceId}-b7ad6b7169203331-00`, {});
  assert.match(left.traceparent ?? '', new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
  left.child('shard.search').end();
  left.end();
  const undecided = tracer.start('Search', 'nonsense', {});
  undecided.child('shard.search').end();
  undecided.end();
  await tracer.close();
  await collector.close();
  assert.deepEqual(collector.requests, []);
});
