/** The commands against a server that keeps points in a map: what they print, and how they end. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { failureOf } from './exit-codes.ts';
import { startMemoryServer, type MemoryServer } from './memory-server.ts';
import { runForTest, type CommandResult } from './memory-terminal.ts';

let server: MemoryServer;
let directory: string;
before(async () => {
  server = await startMemoryServer();
  directory = await mkdtemp(join(tmpdir(), 'shoal-cli-'));
});
after(async () => {
  server.stop();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(() => {
  server.collections.clear();
  server.upserts.length = 0;
  server.beforeUpsert = () => undefined;
});

const shoal = (argv: string[], options: Parameters<typeof runForTest>[1] = {}): Promise<CommandResult> => runForTest([...argv, '--address', server.address], options);

async function json(argv: string[], options: Parameters<typeof runForTest>[1] = {}): Promise<unknown> {
  const { code, out, err } = await shoal([...argv, '--output', 'json'], options);
  assert.equal(code, 0, err);
  return JSON.parse(out);
}

async function withDocs(): Promise<void> {
  await json(['collection', 'create', 'docs', '--dimension', '2']);
  await json(['points', 'upsert', 'docs'], {
    stdin: ['{"id":"a","vector":[1,0.1],"payload":{"tag":"x","n":1}}', '{"id":"b","vector":[0.9,0],"tag":"y"}', '{"id":"c","vector":[0,1],"payload":{"tag":"x"},"text":"see"}'].join('\n'),
  });
}

describe('collections', () => {
  test('create, list, get, update, delete', async () => {
    const created = (await json(['collection', 'create', 'docs', '--dimension', '2', '--metric', 'dot', '--payload-index', 'a:b:integer', '--payload-index', 'tag:keyword'])) as { created: boolean; collection: { spec: unknown; pointCount: number } };
    assert.equal(created.created, true);
    assert.deepEqual(created.collection.spec, { name: 'docs', dimension: 2, metric: 'dot', shards: 1, replication: {}, index: {}, payloadIndexes: [{ field: 'a:b', type: 'integer' }, { field: 'tag', type: 'keyword' }] });
    assert.equal(((await json(['collection', 'create', 'docs', '--dimension', '2'])) as { created: boolean }).created, false);
    assert.deepEqual(((await json(['collection', 'list'])) as { spec: { name: string } }[]).map(({ spec }) => spec.name), ['docs']);
    assert.equal(((await json(['collection', 'get', 'docs'])) as { phase: string }).phase, 'ready');
    assert.deepEqual(((await json(['collection', 'update', 'docs', '--no-payload-indexes'])) as { spec: { payloadIndexes: unknown } }).spec.payloadIndexes, []);
    assert.deepEqual(await json(['collection', 'delete', 'docs']), { deleted: 'docs' });
    const gone = await shoal(['collection', 'get', 'docs']);
    assert.deepEqual(gone, { code: 3, out: '', err: 'shoal: COLLECTION_NOT_FOUND: no collection "docs" (see: shoal collection list)\n' });
  });

  test('quantisation is asked for and shown', async () => {
    const { collection } = (await json(['collection', 'create', 'codes', '--dimension', '2', '--quantization', 'int8'])) as { collection: { spec: { index: unknown } } };
    assert.deepEqual(collection.spec.index, { quantization: 'int8' });
    assert.match((await shoal(['collection', 'get', 'codes'])).out, /quantization int8\)/);
    assert.match((await shoal(['collection', 'create', 'other', '--dimension', '2', '--quantization', 'int4'])).err, /none, int8/);
  });

  test('tables', async () => {
    await withDocs();
    const { out } = await shoal(['collection', 'list']);
    assert.match(out, /NAME\s+PHASE\s+DIMENSION/);
    assert.match(out, /docs\s+ready\s+2\s+cosine/);
    assert.equal((await shoal(['collection', 'list', '--quiet'])).out, '');
  });
});

describe('points', () => {
  test('upsert one, get, delete', async () => {
    await json(['collection', 'create', 'docs', '--dimension', '6']);
    const one = ['points', 'upsert', 'docs', '--id', 'a', '--vector', '0.1, 2,3,4,5,6', '--payload', '{"n": {"m": [1, null]}}'];
    assert.deepEqual(await json(one), { created: 1, updated: 0 });
    assert.deepEqual(await json([...one, '--if-version', '1']), { created: 0, updated: 1 });
    assert.deepEqual((await shoal([...one, '--if-absent'])).code, 1);
    assert.deepEqual(await json(['points', 'get', 'docs', 'a', '--include-vectors']), [{ id: 'a', version: 2, vector: [0.1, 2, 3, 4, 5, 6], payload: { n: { m: [1, null] } } }]);
    assert.match((await shoal(['points', 'get', 'docs', 'a', '--include-vectors'])).out, /\[0\.1, 2, 3, 4, … 6\]/);
    const partly = await shoal(['points', 'get', 'docs', 'a', 'nobody', '--output', 'json']);
    assert.equal(partly.code, 3);
    assert.equal((JSON.parse(partly.out) as unknown[]).length, 1);
    assert.deepEqual(JSON.parse(partly.err), { error: { code: 'POINT_NOT_FOUND', message: 'collection "docs" has no point "nobody"' } });
    assert.deepEqual(await json(['points', 'delete', 'docs', 'a']), { deleted: 1 });
    assert.equal((await shoal(['points', 'delete', 'docs', 'a'])).code, 3);
  });

  test('upsert many from standard input, scroll, count, delete by filter', async () => {
    await withDocs();
    assert.deepEqual(await json(['points', 'count', 'docs']), { count: 3 });
    assert.equal((await shoal(['points', 'count', 'docs', '--filter', '{"field":"tag","equals":"x"}'])).out, '2\n');
    const first = (await json(['points', 'scroll', 'docs', '--limit', '2'])) as { points: { id: string }[]; nextCursor: string };
    assert.deepEqual(first.points.map(({ id }) => id), ['a', 'b']);
    const second = (await json(['points', 'scroll', 'docs', '--cursor', first.nextCursor])) as { points: unknown };
    assert.deepEqual(second.points, [{ id: 'c', version: 3, payload: { tag: 'x' }, text: 'see' }]);
    assert.deepEqual(await json(['points', 'delete', 'docs', '--filter', '{"field":"tag","equals":"x"}']), { deleted: 2 });
  });

  test('a bad line is named, and an overloaded server is asked again', async () => {
    await withDocs();
    const bad = await shoal(['points', 'upsert', 'docs'], { stdin: '{"id":"d","vector":[1,2]}\n{"id":"e","vector":[1]}\n' });
    assert.deepEqual(bad, { code: 1, out: '', err: "shoal: DIMENSION_MISMATCH: standard input: line 2: vector has 1 components; the collection's dimension is 2\n" });
    let refusals = 2;
    server.beforeUpsert = () => {
      if (refusals-- > 0) throw new ShoalError('OVERLOADED', 'wait');
    };
    assert.deepEqual(await json(['points', 'upsert', 'docs', '--id', 'z', '--vector', '1,1']), { created: 1, updated: 0 });
    const [first, ...repeats] = server.upserts.slice(-3);
    assert.deepEqual(repeats, [first, first], 'under the same number');
  });
});

test('a server that cannot be reached: what to look at, and that only where it helps', async () => {
  const closed = await runForTest(['collection', 'list', '--address', '127.0.0.1:1']);
  assert.equal(closed.code, 6);
  assert.match(closed.err, /^shoal: UNAVAILABLE: no connection: connect ECONNREFUSED 127\.0\.0\.1:1 \(is the server running .* does it use TLS \(--tls, --ca\)\?\)\n$/);
  const tlsToPlain = await runForTest(['collection', 'list', '--address', server.address, '--tls']);
  assert.match(tlsToPlain.err, /^shoal: UNAVAILABLE: no connection: TLS failed: wrong version number \(.* does it use TLS/);
  const answered = failureOf(new ShoalError('UNAVAILABLE', 'the store is in use'));
  assert.deepEqual(answered, { code: 'UNAVAILABLE', message: 'the store is in use' });
  const certificate = failureOf(new ShoalError('UNAVAILABLE', 'no connection: self-signed certificate', { details: { unreachable: 'certificate' } }));
  assert.equal(certificate.hint, "name the file of its authority's certificate by --ca");
});

test('search by vector, and by a stored point that is left out', async () => {
  await withDocs();
  const ids = async (argv: string[]): Promise<string[]> => ((await json(['search', 'docs', ...argv])) as { hits: { id: string }[] }).hits.map(({ id }) => id);
  assert.deepEqual(await ids(['--vector', '[1, 0]', '--top-k', '2']), ['a', 'b']);
  assert.deepEqual(await ids(['--id', 'a', '--top-k', '1']), ['b']);
  assert.deepEqual(await ids(['--id', 'a', '--top-k', String(limits.topKMax)]), ['b', 'c']);
  assert.deepEqual(await ids(['--id', 'a', '--filter', '{"field":"tag","equals":"x"}']), ['c']);
  await writeFile(join(directory, 'query.json'), '[0, 1]');
  assert.deepEqual(await ids(['--vector', `@${join(directory, 'query.json')}`, '--top-k', '1']), ['c']);
  assert.match((await shoal(['search', 'docs', '--vector', '1,0', '--include-vectors'])).out, /SCORE\s+ID\s+PAYLOAD\s+VECTOR\s*\n1\.000000\s+a/);
});

test('keys, feedback, status, backup, verify, restore', async () => {
  const made = (await json(['key', 'create', 'reader', '--action', 'read', '--collection', 'docs', '--expires-in', '2h'])) as { secret: string; key: { prefix: string; expiresAtMs: number } };
  assert.equal(made.secret, `${made.key.prefix}_secret`);
  assert.ok(made.key.expiresAtMs > 0);
  assert.equal(((await json(['key', 'list'])) as unknown[]).length, 1);
  assert.deepEqual(await json(['key', 'delete', made.key.prefix]), { deleted: made.key.prefix });
  assert.equal((await shoal(['key', 'delete', made.key.prefix])).code, 3);
  assert.match((await shoal(['feedback', 'list', 'docs'])).out, /f1 .* a=5 \(clicked\)\s+good/);
  assert.match((await shoal(['status'])).out, /local\s+yes\s+yes\s+2\s+3\s+1\.0 KiB[^]*shoal 0\.0\.0, standalone/);
  assert.deepEqual(await json(['backup', '--to', '/b']), { directory: '/b', sizeBytes: 10, shardCount: 1, pointCount: 2 });
  const faulty = await shoal(['verify']);
  assert.deepEqual([faulty.code, /fault: segment 3/.test(faulty.out)], [1, true]);
  const checked = { ok: true, faults: [], checked: { logRecords: 1, logBytes: 2, storeEntries: 3, storeBytes: 4 } };
  const asked: unknown[] = [];
  const tools = {
    verifyDirectory: (request: unknown) => Promise.resolve((asked.push(request), checked)),
    restoreBackup: (request: unknown) => Promise.resolve(void asked.push(request)),
  };
  assert.deepEqual(await json(['verify', '--data-dir', '/d'], { tools }), checked);
  assert.deepEqual(await json(['restore', '--from', '/b', '--data-dir', '/d'], { tools }), { restored: '/d' });
  assert.deepEqual(asked, [{ dataDirectory: '/d' }, { from: '/b', to: '/d' }]);
});

describe('how a command line ends', () => {
  const cases: { argv: string[]; code: number; err: RegExp }[] = [
    { argv: ['fly'], code: 2, err: /^shoal: USAGE: unknown command 'fly' .*\n$/ },
    { argv: ['collection'], code: 2, err: /Commands:[^]*USAGE: a command is missing/ },
    { argv: ['collection', 'create', 'x'], code: 2, err: /required option '--dimension <n>'/ },
    { argv: ['collection', 'create', 'x', '--dimension', '1.5'], code: 2, err: /integer from 1/ },
    { argv: ['collection', 'create', 'x', '--dimension', '2', '--payload-index', 'a:text'], code: 2, err: /FIELD:TYPE/ },
    { argv: ['search', 'x'], code: 2, err: /either --vector or --id/ },
    { argv: ['search', 'x', '--vector', '1,two'], code: 2, err: /--vector\[1\] is not a finite number/ },
    { argv: ['search', 'x', '--vector', '1', '--filter', '['], code: 2, err: /--filter is not JSON/ },
    { argv: ['points', 'upsert', 'x', '--vector', '1'], code: 2, err: /name it by --id/ },
    { argv: ['key', 'create', 'x', '--action', 'read'], code: 2, err: /--collection or --all-collections/ },
    { argv: ['import', 'x.txt', '--collection', 'x'], code: 2, err: /names no format/ },
    { argv: ['import', 'absent.jsonl', '--collection', 'x'], code: 1, err: /FILE_ERROR: ENOENT/ },
  ];
  for (const { argv, code, err } of cases) {
    test(argv.join(' '), async () => {
      const result = await shoal(argv);
      assert.equal(result.code, code, result.err);
      assert.match(result.err, err);
      assert.equal(result.out, '');
    });
  }

  test('no server', async () => {
    const closed = await startMemoryServer();
    closed.stop();
    const result = await runForTest(['status', '--address', closed.address, '--output', 'json']);
    assert.equal(result.code, 6);
    assert.deepEqual((JSON.parse(result.err) as { error: { code: string } }).error.code, 'UNAVAILABLE');
  });

  test('keys by option, file and environment', async () => {
    const guarded = await startMemoryServer({ apiKey: 'secret' });
    try {
      await writeFile(join(directory, 'key'), 'secret\n');
      const run = (argv: string[], environment = {}): Promise<CommandResult> => runForTest(['status', '--address', guarded.address, ...argv], { environment });
      assert.equal((await run(['--api-key', 'secret'])).code, 0);
      assert.equal((await run(['--api-key-file', join(directory, 'key')])).code, 0);
      assert.equal((await run([], { SHOAL_API_KEY: 'secret' })).code, 0);
      const refused = await run(['--api-key', 'wrong-one']);
      assert.equal(refused.code, 5);
      assert.ok(!refused.err.includes('wrong-one'), 'no secret in a message');
    } finally {
      guarded.stop();
    }
  });

  test('every command has examples in its help', async () => {
    const paths = ['collection create', 'collection list', 'collection get', 'collection update', 'collection delete', 'points upsert', 'points get', 'points delete', 'points scroll', 'points count', 'search', 'import', 'export', 'key create', 'key list', 'key delete', 'feedback list', 'status', 'backup', 'restore', 'verify', 'completion'];
    for (const path of paths) {
      const { code, out } = await shoal([...path.split(' '), '--help']);
      assert.equal(code, 0, path);
      assert.match(out, new RegExp(`Usage: shoal ${path}[^]*Examples?:\\n  \\$ .*shoal ${path}`), path);
    }
    assert.match((await shoal(['--help'])).out, /Exit codes:\n {2}0 {2}done/);
  });
});

test('an export reads back by import, in every format that keeps ids', async () => {
  await withDocs();
  const before = new Map(server.collections.get('docs')!.points);
  server.scrollLimitMax = 2;
  try {
    for (const format of ['jsonl', 'csv', 'parquet', 'npy', 'fvecs']) {
      const file = join(directory, `docs.${format}`);
      const ids = format === 'npy' || format === 'fvecs' ? ['--ids-file', `${file}.ids`] : [];
      assert.equal(((await json(['export', file, '--collection', 'docs', ...ids])) as { points: number }).points, 3);
      assert.equal((await shoal(['export', file, '--collection', 'docs', ...ids])).code, 2, 'refuses to overwrite');
      await json(['import', file, '--collection', format, '--create', ...ids]);
      const strip = (points: Map<string, { version: bigint }>): unknown => [...points.values()].map(({ version: _, ...point }) => ({ ...point, packedVector: Buffer.from((point as unknown as { packedVector: Uint8Array }).packedVector).toString('hex') })).sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
      assert.deepEqual(strip(server.collections.get(format)!.points), strip(before), format);
    }
  } finally {
    server.scrollLimitMax = 10_000;
  }
  assert.deepEqual((await readdir(directory)).filter((name) => name.endsWith('.partial') || name.endsWith('import.json')), []);
  assert.equal((await shoal(['export', join(directory, 'x.bvecs'), '--collection', 'docs'])).code, 1, 'components that bvecs cannot hold');
  assert.deepEqual((await readdir(directory)).filter((name) => name.startsWith('x.')), [], 'nothing is left of it');
});

describe('completion', () => {
  const bashOffers = async (...words: string[]): Promise<string[]> => {
    const { out: script } = await shoal(['completion', 'bash']);
    const program = `${script}\nCOMP_WORDS=(shoal ${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length}; _shoal; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return (await promisify(execFile)('bash', ['-c', program])).stdout.split('\n').filter((line) => line !== '');
  };
  test('bash offers what the tree has', async () => {
    assert.deepEqual(await bashOffers('coll'), ['collection']);
    assert.deepEqual(await bashOffers('collection', ''), ['create', 'list', 'get', 'update', 'delete', '--address', '--api-key', '--api-key-file', '--tls', '--ca', '--insecure-skip-verify', '--timeout', '--output', '--quiet', '--help']);
    assert.deepEqual(await bashOffers('--output', 'json', 'collection', 'create', 'docs', '--dim'), ['--dimension']);
    assert.deepEqual(await bashOffers('collection', 'create', 'docs', '--metric', ''), ['cosine', 'euclidean', 'dot']);
    assert.deepEqual(await bashOffers('completion', 'z'), ['zsh']);
  });
  for (const shell of ['zsh', 'fish']) {
    test(`${shell} knows every command`, async () => {
      const { out } = await shoal(['completion', shell]);
      for (const word of ['standalone', 'collection create', 'points scroll', 'min-in-sync', 'skip-bad-rows']) assert.ok(out.includes(word), word);
    });
  }
});
