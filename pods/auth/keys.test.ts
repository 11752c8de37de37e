import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Identity, RequestContext } from '../api/context.ts';
import type { KeyInput } from '../api/vector-api.ts';
import type { Clock } from '../kernel/clock.ts';
import { systemClock } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';
import { silentLogger } from '../kernel/logger.ts';
import { seededRandom } from '../kernel/random.ts';
import { noSpan } from '../kernel/span.ts';
import { createPrometheusMetrics } from '../telemetry/prometheus-metrics.ts';
import { hashApiKey, makeApiKey, prefixOf, sameHash } from './api-key.ts';
import { createAuthenticator, credentialFrom } from './authenticator.ts';
import type { Authenticator } from './authenticator.ts';
import { ensureFirstKey } from './first-key.ts';
import { allActions, createKeyStore } from './key-store.ts';
import type { KeyStore } from './key-store.ts';
import { memoryRecords } from './memory-records.ts';

const context: RequestContext = {
  requestId: 'test',
  identity: { subject: 'test', actions: allActions, collections: 'all' },
  signal: new AbortController().signal,
  span: noSpan,
};
const readOnly: KeyInput = { name: 'reader', actions: ['read'], collections: ['docs'] };

function steppedClock(): Clock & { advance(ms: number): void } {
  let ms = 1_000_000;
  return { ...systemClock, nowMs: () => ms, monotonicMs: () => ms, advance: (by) => void (ms += by) };
}

function setUp(givenKeys: string[] = []) {
  const records = memoryRecords();
  const clock = steppedClock();
  const store = (seed: number): KeyStore => createKeyStore({ records, clock, random: seededRandom(seed) });
  const metrics = createPrometheusMetrics(silentLogger);
  const keys = store(1);
  const authenticator = createAuthenticator({ keys, givenKeys, clock, metrics });
  return { records, clock, store, keys, authenticator, metrics };
}

const authenticate = async (authenticator: Authenticator, credential: string | undefined): Promise<Identity> => authenticator.authenticate(credential);
const refused = { code: 'UNAUTHENTICATED', message: 'a valid API key is needed, as "Authorization: Bearer <key>" or "X-API-Key: <key>"' };

test('a key has the documented form and enough secret', () => {
  const { prefix, key } = makeApiKey(seededRandom(7));
  assert.match(key, /^shoal_[0-9A-Za-z]{10}_[0-9A-Za-z]{43}$/);
  assert.equal(prefixOf(key), prefix);
  assert.equal(prefixOf(`${key}x`), undefined);
  assert.equal(sameHash(hashApiKey(key), hashApiKey(key)), true);
  assert.equal(sameHash(hashApiKey(key), hashApiKey(key.slice(0, -1) + '!')), false);
});

test('a created key is accepted with its scopes, and only its hash is stored', async () => {
  const { keys, authenticator, records } = setUp();
  const { secret, key } = await keys.create(context, readOnly);
  assert.deepEqual(await authenticate(authenticator, secret), { subject: key.prefix, actions: ['read'], collections: ['docs'] });
  assert.deepEqual(await keys.list(context), [key]);
  const stored = [...records.all.values()].map(({ value }) => Buffer.from(value).toString()).join();
  assert.ok(!stored.includes(secret.split('_')[2]!));
});

test('every wrong credential gets the same answer, and the metric tells them apart', async () => {
  const { keys, authenticator, metrics, clock } = setUp(['given']);
  const { secret } = await keys.create(context, { ...readOnly, expiresAtMs: clock.nowMs() + 1_000 });
  const last = secret.at(-1) === 'a' ? 'b' : 'a';
  const table: [outcome: string, credential: string | undefined][] = [
    ['missing', undefined],
    ['malformed', 'hello'],
    ['malformed', 'x'.repeat(100_000)],
    ['unknown', makeApiKey(seededRandom(99)).key],
    ['wrong', secret.slice(0, -1) + last],
    ['malformed', 'given '],
  ];
  for (const [, credential] of table) await assert.rejects(authenticate(authenticator, credential), refused);
  clock.advance(1_001);
  await assert.rejects(authenticate(authenticator, secret), refused);
  const counts = Object.fromEntries([...metrics.scrape().matchAll(/shoal_credential_checks_total\{outcome="(\w+)"\} (\d+)/g)].map((match) => [match[1], Number(match[2])]));
  assert.deepEqual(counts, { missing: 1, malformed: 3, unknown: 1, wrong: 1, expired: 1 });
});

test('given keys have every right and are named by their place', async () => {
  const { authenticator } = setUp(['first', 'second']);
  assert.deepEqual(await authenticate(authenticator, 'second'), { subject: 'given-2', actions: allActions, collections: 'all' });
});

test('a deletion here counts at once, one elsewhere within the cache time', async () => {
  const { keys, store, authenticator, clock } = setUp();
  const elsewhere = store(2);
  const first = await keys.create(context, readOnly);
  const second = await keys.create(context, readOnly);
  await authenticate(authenticator, first.secret);
  await keys.delete(context, first.key.prefix);
  await assert.rejects(authenticate(authenticator, first.secret), refused);
  await elsewhere.delete(context, second.key.prefix);
  await authenticate(authenticator, second.secret);
  clock.advance(limits.keyCacheMs);
  await assert.rejects(authenticate(authenticator, second.secret), refused);
  await assert.rejects(keys.delete(context, second.key.prefix), { code: 'KEY_NOT_FOUND' });
});

test('a key deleted while the keys are read anew does not come back', async () => {
  const { keys, authenticator, records, clock } = setUp();
  const { secret, key } = await keys.create(context, readOnly);
  clock.advance(limits.keyCacheMs);
  const scan = records.scan.bind(records);
  let release = (): void => undefined;
  records.scan = async (...request) => {
    const page = await scan(...request);
    await new Promise<void>((resolve) => (release = resolve));
    return page;
  };
  const waiting = authenticate(authenticator, secret);
  await new Promise((resolve) => setImmediate(resolve));
  await keys.delete(context, key.prefix);
  release();
  await assert.rejects(waiting, refused);
});

test('a flood of invented keys reads nothing', async () => {
  const { keys, authenticator, records } = setUp();
  await keys.create(context, readOnly);
  const before = records.scanCount;
  records.get = () => assert.fail('a key was looked up');
  for (let seed = 0; seed < 1_000; seed++) await assert.rejects(authenticate(authenticator, makeApiKey(seededRandom(seed + 50)).key), refused);
  assert.equal(records.scanCount, before);
});

test('more keys than a page are all read', async () => {
  const { keys, store } = setUp();
  for (let count = 0; count < 600; count++) await keys.create(context, readOnly);
  assert.equal(await store(3).count(), 600);
});

test('bad inputs are refused', async () => {
  const { keys, clock } = setUp();
  const table: [Partial<KeyInput>, string][] = [
    [{ name: '' }, 'INVALID_NAME'],
    [{ name: 'x'.repeat(256) }, 'INVALID_NAME'],
    [{ actions: [] }, 'INVALID_ARGUMENT'],
    [{ actions: ['fly' as 'read'] }, 'INVALID_ARGUMENT'],
    [{ collections: [] }, 'INVALID_ARGUMENT'],
    [{ collections: [''] }, 'INVALID_NAME'],
    [{ expiresAtMs: clock.nowMs() }, 'INVALID_ARGUMENT'],
  ];
  for (const [change, code] of table) await assert.rejects(keys.create(context, { ...readOnly, ...change }), { code });
  assert.equal(await keys.count(), 0);
});

test('a record that cannot be read is corruption, not a missing key', async () => {
  const { keys, records } = setUp();
  await records.put(context, 'key/abc', Buffer.from('{'));
  await assert.rejects(keys.count(), { code: 'CORRUPTION' });
});

test('the first start makes one key, and only the first', async () => {
  const { keys, authenticator } = setUp();
  const { signal } = context;
  assert.equal(await ensureFirstKey(keys, ['given'], signal), undefined);
  const secret = await ensureFirstKey(keys, [], signal);
  assert.deepEqual((await authenticate(authenticator, secret)).actions, allActions);
  assert.equal(await ensureFirstKey(keys, [], signal), undefined);
});

test('where a credential is read from', () => {
  const table: [string | undefined, string | undefined, string | undefined][] = [
    ['Bearer abc', undefined, 'abc'],
    ['bearer  abc ', 'other', 'abc'],
    ['Basic abc', 'key', 'key'],
    [undefined, 'key', 'key'],
    [undefined, undefined, undefined],
  ];
  for (const [authorization, apiKey, credential] of table) assert.equal(credentialFrom(authorization, apiKey), credential);
});
