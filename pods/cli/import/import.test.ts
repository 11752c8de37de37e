/**
 * Imports against a server that counts what arrives: killed at random moments they lose nothing and repeat at most one
 * batch for each slot; bad rows, refusals and interruptions end as documented. SHOAL_SEED repeats a run's choices.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { ShoalError } from '../../kernel/errors.ts';
import { below, seededRandom, systemRandom } from '../../kernel/random.ts';
import { InterruptedError } from '../exit-codes.ts';
import { openWriter } from '../formats/open-format.ts';
import type { FilePoint, FormatName } from '../formats/point-file.ts';
import { startMemoryServer, type MemoryServer } from '../memory-server.ts';
import { runForTest, type CommandResult } from '../memory-terminal.ts';
import { packVector } from '../wire.ts';

let server: MemoryServer;
let directory: string;
before(async () => {
  server = await startMemoryServer();
  directory = await mkdtemp(join(tmpdir(), 'shoal-import-'));
});
after(async () => {
  server.stop();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(() => {
  server.collections.clear();
  server.upserts.length = 0;
  server.beforeUpsert = () => undefined;
  server.afterUpsert = () => undefined;
});

const shoal = (argv: string[], signal?: AbortSignal): Promise<CommandResult> => runForTest([...argv, '--address', server.address, '--output', 'json'], signal === undefined ? {} : { signal });
const exists = (path: string): Promise<boolean> => access(path).then(() => true, () => false);

function points(count: number): FilePoint[] {
  return Array.from({ length: count }, (_, i) => ({ id: `p${i}`, vector: Float32Array.of(i + 1, 1, 0.5 - i), payload: { i } }));
}

async function fileOf(name: string, format: FormatName, given: readonly FilePoint[]): Promise<string> {
  const path = join(directory, name);
  const writer = await openWriter(format, path);
  await writer.write(given);
  await writer.finish();
  return path;
}

function assertStored(name: string, expected: readonly FilePoint[]): void {
  const stored = server.collections.get(name)!.points;
  assert.equal(stored.size, expected.length);
  for (const point of expected) {
    const found = stored.get(point.id)!;
    assert.deepEqual([Buffer.from(found.packedVector), found.payload], [Buffer.from(packVector(point.vector)), point.payload], point.id);
  }
}

/** How many arrivals were of a batch that had arrived before. */
function repeatCount(): number {
  return server.upserts.length - new Set(server.upserts.map(({ clientId, requestNumber }) => `${clientId}/${requestNumber}`)).size;
}

const seed = Number(process.env['SHOAL_SEED'] ?? systemRandom.uint32());

describe(`killed at random moments (SHOAL_SEED=${seed})`, () => {
  const killCount = 4;
  const main = JSON.stringify(new URL('../main.ts', import.meta.url).href);
  const script = `const { main } = await import(${main}); process.exitCode = await main(process.argv.slice(1));`;

  for (const [format, slots] of [['jsonl', 1], ['parquet', 1], ['csv', 4]] as const) {
    test(`${format}, ${slots} under way`, async () => {
      const random = seededRandom(seed + slots + format.length);
      const given = points(400);
      const file = await fileOf(`killed-${slots}.${format}`, format, given);
      await shoal(['collection', 'create', 'killed', '--dimension', '3']);
      // Some kills find the batch before it is done, some after.
      server.beforeUpsert = () => wait(below(random, 4));
      server.afterUpsert = () => wait(below(random, 4));
      let kills = 0;
      for (let finished = false; !finished; ) {
        const argv = ['import', file, '--collection', 'killed', '--batch-size', '10', '--concurrency', String(slots), '--address', server.address, '--output', 'json'];
        const child = spawn(process.execPath, ['--input-type=module', '-e', script, '--', ...argv], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, NODE_COMPILE_CACHE: join(directory, 'compiled') } });
        let errors = '';
        child.stderr.on('data', (chunk) => (errors += String(chunk)));
        let running = true;
        const exit = once(child, 'exit').then(([code]) => {
          running = false;
          return code as number | null;
        });
        const arrivalsBefore = server.upserts.length;
        const arrivalsWanted = arrivalsBefore + 1 + below(random, 12);
        while (running && kills < killCount && server.upserts.length < arrivalsWanted) await wait(1);
        await wait(below(random, 4));
        if (kills < killCount && running) {
          kills++;
          child.kill('SIGKILL');
        }
        const code = await exit;
        finished = code !== null;
        if (finished) assert.equal(code, 0, errors);
      }
      assertStored('killed', given);
      assert.equal(new Set(server.upserts.map(({ clientId }) => clientId)).size, 1, 'one client id from the first to the last');
      assert.ok(repeatCount() <= kills * slots, `${repeatCount()} batches were sent again after ${kills} kills with ${slots} under way`);
      assert.ok(kills >= 2, `${kills} kills`);
      assert.ok(!(await exists(`${file}.shoal-import.json`)), 'the progress file is gone');
    });
  }
});

describe('what was acknowledged is not sent again', () => {
  test('after an interruption, which lets the batch under way finish', async () => {
    const given = points(100);
    const file = await fileOf('interrupted.jsonl', 'jsonl', given);
    await shoal(['collection', 'create', 'docs', '--dimension', '3']);
    const interruption = new AbortController();
    server.afterUpsert = () => {
      if (server.upserts.length === 4) interruption.abort(new InterruptedError('interrupted'));
      return wait(5);
    };
    const argv = ['import', file, '--collection', 'docs', '--batch-size', '10'];
    const stopped = await shoal(argv, interruption.signal);
    assert.equal(stopped.code, 4);
    assert.match(stopped.err, /"INTERRUPTED","message":"stopped after 40 acknowledged points/);
    server.afterUpsert = () => undefined;
    const resumed = await shoal(argv);
    const { resumed: wasResumed, sentBatches, points: total } = JSON.parse(resumed.out) as { resumed: boolean; sentBatches: number; points: number };
    assert.deepEqual({ wasResumed, sentBatches, total }, { wasResumed: true, sentBatches: 6, total: 100 });
    assert.deepEqual(server.upserts.map(({ requestNumber }) => requestNumber), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assertStored('docs', given);
  });

  test('several under way: what was acknowledged above a gap stays so', async () => {
    const given = points(60);
    const file = await fileOf('gap.jsonl', 'jsonl', given);
    await shoal(['collection', 'create', 'docs', '--dimension', '3']);
    server.beforeUpsert = async ({ requestNumber }) => {
      if (requestNumber === 2n) {
        // The others have come by then, and end well.
        while (server.upserts.length < 6) await wait(1);
        throw new ShoalError('INVALID_ARGUMENT', 'not this one');
      }
    };
    const argv = ['import', file, '--collection', 'docs', '--batch-size', '10', '--concurrency', '3'];
    const failed = await shoal(argv);
    assert.equal(failed.code, 1);
    assert.match(failed.err, /not this one/);
    assert.deepEqual(server.upserts.map(({ requestNumber }) => requestNumber).sort(), [1, 2, 3, 4, 5, 6]);
    server.beforeUpsert = () => undefined;
    server.upserts.length = 0;
    assert.equal((await shoal(argv)).code, 0);
    assert.deepEqual(server.upserts.map(({ requestNumber }) => requestNumber), [2]);
    assertStored('docs', given);
  });

  test('unless the file, the options or the collection changed', async () => {
    const file = await fileOf('changed.jsonl', 'jsonl', points(30));
    const progressFile = `${file}.progress`;
    await shoal(['collection', 'create', 'docs', '--dimension', '3']);
    server.beforeUpsert = ({ requestNumber }) => {
      if (requestNumber === 2n) throw new ShoalError('INVALID_ARGUMENT', 'stop');
    };
    const argv = ['import', file, '--collection', 'docs', '--batch-size', '10', '--progress-file', progressFile];
    const numbers = async (more: string[]): Promise<number[]> => {
      server.upserts.length = 0;
      assert.equal((await shoal([...argv, ...more])).code, 1);
      return server.upserts.map(({ requestNumber }) => requestNumber);
    };
    assert.deepEqual(await numbers([]), [1, 2]);
    assert.deepEqual(await numbers([]), [2]);
    assert.deepEqual(await numbers(['--resume', 'always']), [2]);
    assert.deepEqual(await numbers(['--resume', 'never']), [1, 2]);
    assert.deepEqual(await numbers(['--batch-size', '9']), [1, 2]);
    await appendFile(file, '\n');
    const refused = await shoal([...argv, '--batch-size', '9', '--resume', 'always']);
    assert.deepEqual([refused.code, /belongs to another import/.test(refused.err)], [2, true]);
    assert.deepEqual(await numbers([]), [1, 2]);
    await shoal(['collection', 'delete', 'docs']);
    await shoal(['collection', 'create', 'other', '--dimension', '3']);
    await shoal(['collection', 'create', 'docs', '--dimension', '3']);
    assert.deepEqual(await numbers([]), [1, 2]);
  });
});

describe('errors', () => {
  test('what can be retried is, under the same number; a forgotten client becomes a new one', async () => {
    const given = points(30);
    const file = await fileOf('retried.jsonl', 'jsonl', given);
    await shoal(['collection', 'create', 'docs', '--dimension', '3']);
    const failures: (ShoalError | undefined)[] = [undefined, new ShoalError('OUTCOME_UNKNOWN', 'who knows'), new ShoalError('OVERLOADED', 'later'), undefined, new ShoalError('REQUEST_TOO_OLD', 'forgotten')];
    server.afterUpsert = () => {
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
    };
    const result = JSON.parse((await shoal(['import', file, '--collection', 'docs', '--batch-size', '10'])).out) as { retries: number };
    assert.equal(result.retries, 2);
    assert.deepEqual(server.upserts.map(({ requestNumber }) => requestNumber), [1, 2, 2, 2, 3, 3]);
    const clients = server.upserts.map(({ clientId }) => clientId);
    assert.deepEqual([new Set(clients.slice(0, 5)).size, clients[5] === clients[0]], [1, false]);
    assertStored('docs', given);
  });

  test('a server that stays away ends it after --retry-for', async () => {
    const file = await fileOf('away.jsonl', 'jsonl', points(3));
    await shoal(['collection', 'create', 'docs', '--dimension', '3']);
    server.beforeUpsert = () => {
      throw new ShoalError('UNAVAILABLE', 'away');
    };
    assert.equal((await shoal(['import', file, '--collection', 'docs', '--retry-for', '0'])).code, 6);
    assert.equal(server.upserts.length, 1);
  });

  const lines = ['{"id":"a","vector":[1,2]}', '{"id":"b","vector":[1]}', 'x', '{"id":"c","vector":[3,4]}', '{"id":"","vector":[3,4]}', '{"id":"d","vector":[0,0]}', '{"id":"e","vector":[5,6]}'];
  test('a bad row is named by file, line and field', async () => {
    const file = join(directory, 'bad.jsonl');
    await writeFile(file, lines.join('\n'));
    await shoal(['collection', 'create', 'docs', '--dimension', '2']);
    const result = await shoal(['import', file, '--collection', 'docs']);
    assert.equal(result.code, 1);
    assert.deepEqual(JSON.parse(result.err), {
      error: { code: 'DIMENSION_MISMATCH', message: `${file}: line 2: vector has 1 components; the collection's dimension is 2`, details: { file, line: 2, field: 'vector' } },
    });
    assert.equal(server.upserts.length, 0);
  });

  test('bad rows are left out up to a bound, and reported', async () => {
    const file = join(directory, 'skipped.jsonl');
    await writeFile(file, lines.join('\n'));
    await shoal(['collection', 'create', 'docs', '--dimension', '2']);
    const over = await shoal(['import', file, '--collection', 'docs', '--skip-bad-rows', '3', '--batch-size', '1']);
    assert.equal(over.code, 1);
    assert.match(over.err, /line 6: vector is zero/);
    const result = await shoal(['import', file, '--collection', 'docs', '--skip-bad-rows', '4', '--batch-size', '1']);
    assert.equal(result.code, 0);
    const { points: count, badRows } = JSON.parse(result.out) as { points: number; badRows: number };
    assert.deepEqual({ count, badRows }, { count: 3, badRows: 4 });
    assert.deepEqual([...server.collections.get('docs')!.points.keys()], ['a', 'c', 'e']);
    const all = await shoal(['import', file, '--collection', 'docs', '--skip-bad-rows', '4']);
    assert.deepEqual((JSON.parse(all.out) as { badRowList: string[] }).badRowList.map((text) => text.slice(file.length + 2)), [
      "line 2: vector has 1 components; the collection's dimension is 2",
      `line 3: is not JSON: ${"Unexpected token 'x', \"x\" is not valid JSON".slice(0, 37)}...`,
      'line 5: id must not be empty',
      'line 6: vector is zero, which has no direction under the cosine metric',
    ]);
  });
});

describe('batches', () => {
  test('one id stands in a batch once, and the last row of an id stays', async () => {
    const file = await fileOf('twice.jsonl', 'jsonl', [0, 1, 0, 2, 0].map((n, i) => ({ id: `p${n}`, vector: Float32Array.of(1, i), payload: { i } })));
    const { code } = await shoal(['import', file, '--collection', 'docs', '--create']);
    assert.equal(code, 0);
    assert.deepEqual(server.upserts.map(({ pointCount }) => pointCount), [2, 2, 1]);
    assert.deepEqual(server.collections.get('docs')!.points.get('p0')!.payload, { i: 4 });
  });

  test('are cut by bytes too', async () => {
    const file = await fileOf('large.jsonl', 'jsonl', points(6).map((point) => ({ ...point, text: 'x'.repeat(900_000) })));
    assert.equal((await shoal(['import', file, '--collection', 'docs', '--create'])).code, 0);
    assert.deepEqual(server.upserts.map(({ pointCount }) => pointCount), [4, 2]);
  });

  test('from standard input', async () => {
    await shoal(['collection', 'create', 'docs', '--dimension', '2']);
    const { code, out } = await runForTest(['import', '-', '--format', 'csv', '--collection', 'docs', '--address', server.address, '--output', 'json'], { stdin: 'id,vector,tag\na,1 2,x\nb,3 4,y\n' });
    assert.equal(code, 0);
    assert.equal((JSON.parse(out) as { points: number }).points, 2);
    assert.deepEqual(server.collections.get('docs')!.points.get('b')!.payload, { tag: 'y' });
  });

  test('an empty file is an import of nothing', async () => {
    const file = join(directory, 'empty.jsonl');
    await writeFile(file, '');
    await shoal(['collection', 'create', 'docs', '--dimension', '2']);
    assert.deepEqual((JSON.parse((await shoal(['import', file, '--collection', 'docs'])).out) as { points: number }).points, 0);
    assert.equal(await readFile(file, 'utf8'), '');
  });
});
