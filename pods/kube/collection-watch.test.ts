/** Aim: a watch knows what the server has, however lists and streams end, and tells each change. */

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test, type TestContext } from 'node:test';
import type { Logger } from '../kernel/logger.ts';
import { fakeApiServer, sendJson } from './api-server.fixture.ts';
import { CollectionWatch, listAll } from './collection-watch.ts';

const silent: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, child: () => silent };

const object = (name: string, resourceVersion: string) => ({ metadata: { name, resourceVersion } });
const event = (type: string, name: string, version: string): string => `${JSON.stringify({ type, object: object(name, version) })}\n`;

/** One answer of the server: a page of a list, the lines of a stream and how it ends, or a refusal. */
type Step = { list: string[]; version: string; more?: string } | { lines: string[]; end: 'ended' | 'cut' | 'open' } | { status: number };

/** A server that takes these steps, one for each request, and what the watch did. */
async function watched(t: TestContext, steps: readonly Step[]): Promise<{ watch: CollectionWatch; requests: string[]; heard: string[] }> {
  const { client, requests } = await fakeApiServer(t, (_, response, number) => take(response, steps[number - 1] ?? { lines: [], end: 'open' }));
  const heard: string[] = [];
  const watch = new CollectionWatch({ client, logger: silent, path: '/things', onChange: (name) => heard.push(`${name}@${watch.get(name)?.metadata.resourceVersion ?? 'gone'}`) });
  t.after(() => watch.close());
  while (requests.length < steps.length || !watch.isFresh) await new Promise((resolve) => setTimeout(resolve, 5));
  return { watch, requests: requests.map((request) => request.replace(/&?timeoutSeconds=\d+/, '').replace('watch=true&allowWatchBookmarks=true', 'watch')), heard };
}

function take(response: ServerResponse, step: Step): void {
  if ('status' in step) sendJson(response, step.status, { kind: 'Status', reason: 'Expired', message: 'gone' });
  else if ('list' in step) {
    const items = step.list.map((each) => object(...(each.split('@') as [string, string])));
    sendJson(response, 200, { metadata: { resourceVersion: step.version, ...(step.more === undefined ? {} : { continue: step.more }) }, items });
  } else {
    response.writeHead(200).flushHeaders();
    for (const line of step.lines) response.write(line);
    if (step.end === 'ended') response.end();
    // What was written first arrives, then the end.
    else if (step.end === 'cut') setTimeout(() => response.destroy(), 20);
  }
}

const list = (path: string): string => `GET ${path}`;
const watchFrom = (version: string): string => `GET /things?watch&resourceVersion=${version}`;
const firstPage = list('/things?limit=500');

test('a list in pages, then changes as they come', async (t) => {
  const { watch, requests, heard } = await watched(t, [
    { list: ['a@1'], version: '5', more: 'next' },
    { list: ['b@2'], version: '5' },
    { lines: [event('ADDED', 'c', '6'), event('MODIFIED', 'a', '7') + event('DELETED', 'b', '8').slice(0, 20), event('DELETED', 'b', '8').slice(20), event('BOOKMARK', '', '9')], end: 'ended' },
    { lines: [event('ADDED', 'd', '10')], end: 'open' },
  ]);
  while (heard.length < 6) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(requests, [firstPage, list('/things?limit=500&continue=next'), watchFrom('5'), watchFrom('9')]);
  assert.deepEqual(heard, ['a@1', 'b@2', 'c@6', 'a@7', 'b@gone', 'd@10']);
  assert.deepEqual(['a', 'b', 'c', 'd'].map((name) => watch.get(name)?.metadata.resourceVersion), ['7', undefined, '6', '10']);
});

for (const [name, end] of [
  ['an answer 410', { status: 410 }],
  ['an error 410 in the stream', { lines: [`${JSON.stringify({ type: 'ERROR', object: { code: 410, message: 'too old' } })}\n`], end: 'open' }],
  ['another error in the stream', { lines: [`${JSON.stringify({ type: 'ERROR', object: { code: 500, message: 'etcd' } })}\n`], end: 'open' }],
  ['an answer 500', { status: 500 }],
  ['a stream that is cut', { lines: [], end: 'cut' }],
  ['a stream that is cut inside a line', { lines: ['{"type":"ADD'], end: 'cut' }],
  ['a line that is no JSON', { lines: ['<html>\n'], end: 'open' }],
] as readonly [string, Step][]) {
  test(`${name}: everything is listed again, and what is gone is told`, async (t) => {
    // Lower versions than before: the store was rolled back.
    const { watch, requests, heard } = await watched(t, [{ list: ['a@11', 'b@12'], version: '15' }, end, { list: ['b@2'], version: '9' }, { lines: [], end: 'open' }]);
    assert.deepEqual(requests, [firstPage, watchFrom('15'), firstPage, watchFrom('9')]);
    assert.deepEqual(heard, ['a@11', 'b@12', 'b@2', 'a@gone']);
    assert.deepEqual([watch.get('a'), watch.get('b')], [undefined, object('b', '2')]);
  });
}

test('a page that comes too late: the list begins anew, and holds nothing of before', async (t) => {
  const steps: readonly Step[] = [{ list: ['a@1'], version: '5', more: 'next' }, { status: 410 }, { list: ['b@7'], version: '8' }];
  const { client, requests } = await fakeApiServer(t, (_, response, number) => take(response, steps[number - 1]!));
  assert.deepEqual(await listAll(client, '/things', 'pool=a'), { items: [object('b', '7')], version: '8' });
  assert.deepEqual(requests, [list('/things?limit=500&labelSelector=pool%3Da'), list('/things?limit=500&labelSelector=pool%3Da&continue=next'), list('/things?limit=500&labelSelector=pool%3Da')]);
});
