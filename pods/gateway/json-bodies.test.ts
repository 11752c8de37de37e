/** Large bodies are parsed in a worker to the same value and the same errors as small ones. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { limits } from '../kernel/limits.ts';
import { silentLogger } from '../kernel/logger.ts';
import { createJsonBodies } from './json-bodies.ts';
import { addPart, splitValue } from './json-parts.ts';
import type { Part } from './json-parts.ts';

const bodies = createJsonBodies(silentLogger);
after(() => bodies.close());
const { signal } = new AbortController();
const filler = 'x'.repeat(limits.httpBodyOnLoopBytesMax);

test('values survive being cut and joined', () => {
  const values: unknown[] = [1, null, 'a', [], {}, [1, [2], { a: 3 }], { a: [1, 2, 3], b: [], c: { d: [4] }, e: 5 }, { a: Array.from({ length: 1_000 }, (_, at) => ({ at })) }];
  for (const value of values) {
    for (const bytes of [1, 1_000_000_000]) {
      const parts = structuredClone([...splitValue(value, bytes)]) as Part[];
      assert.deepEqual(parts.reduce<unknown>(addPart, undefined), value);
    }
  }
});

test('a part is about as large as the limit says', () => {
  const value = { points: Array.from({ length: 1_000 }, () => 'x'.repeat(10_000)) };
  const sizes = [...splitValue(value, JSON.stringify(value).length)].map((part) => JSON.stringify(part).length);
  assert.ok(Math.max(...sizes) < 2 * limits.parsePartBytes, String(Math.max(...sizes)));
});

test('a large body becomes the same value', async () => {
  const value = { collection: 'docs', points: Array.from({ length: 3_000 }, (_, at) => ({ id: `p${at}`, vector: Array.from({ length: 50 }, (__, index) => (at + index) / 7), payload: { 'ä"': [at, null] } })) };
  const bytes = Buffer.from(JSON.stringify(value));
  assert.ok(bytes.length > limits.httpBodyOnLoopBytesMax);
  assert.deepEqual(await bodies.parse(bytes, signal), value);
});

test('a large body gets the errors of a small one', async () => {
  for (const [text, message] of [
    [`{"a":"${filler}"`, /not valid JSON/],
    [`{"a":"${filler}","a":1}`, /the key "a" twice/],
    [`["${filler}",${'['.repeat(100)}${']'.repeat(100)}]`, /nested more than/],
  ] as const) {
    await assert.rejects(async () => bodies.parse(Buffer.from(text), signal), { code: 'MALFORMED_BODY', message });
  }
});

test('one that is given up, and one too many, do not disturb the others', async () => {
  const body = (): Buffer => Buffer.from(`["${filler}"]`);
  const leave = new AbortController();
  const given = bodies.parse(body(), leave.signal) as Promise<unknown>;
  leave.abort(new Error('gone'));
  await assert.rejects(given, { message: 'gone' });
  const all = await Promise.allSettled(Array.from({ length: limits.parseQueueMax + 2 }, async () => bodies.parse(body(), signal)));
  const refused = all.filter((result) => result.status === 'rejected').map(({ reason }) => (reason as { code: string }).code);
  assert.ok(refused.length >= 2 && refused.every((code) => code === 'OVERLOADED'), String(refused));
  assert.deepEqual(await bodies.parse(body(), signal), [filler]);
});
