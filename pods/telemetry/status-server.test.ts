import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startStatusServer } from './status-server.ts';

test('says whether the process lives and is ready, and shows its metrics', async (t) => {
  let reasons = ['the API server is not reached'];
  const server = await startStatusServer({
    host: '127.0.0.1',
    port: 0,
    metrics: { contentType: 'text/x', scrape: () => 'figures' },
    notReady: () => reasons,
  });
  t.after(() => server.close());
  const read = async (path: string, method = 'GET'): Promise<unknown> => {
    const answer = await fetch(`http://127.0.0.1:${server.address.port}${path}`, { method });
    return [answer.status, await answer.text(), answer.headers.get('content-type')];
  };
  const plain = 'text/plain; charset=utf-8';
  assert.deepEqual(await read('/livez'), [200, 'OK\n', plain]);
  assert.deepEqual(await read('/readyz'), [503, 'the API server is not reached\n', plain]);
  reasons = [];
  assert.deepEqual(await read('/readyz?verbose'), [200, 'OK\n', plain]);
  assert.deepEqual(await read('/metrics'), [200, 'figures', 'text/x']);
  assert.deepEqual(await read('/'), [404, 'there are /livez, /readyz and /metrics\n', plain]);
  assert.deepEqual(await read('/livez', 'POST'), [405, 'only GET\n', plain]);
});
