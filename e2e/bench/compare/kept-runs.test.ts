import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { KeptRuns, type KeptRun } from './kept-runs.ts';

const parameters = { points: 1_000, breadths: [16, 32] };
const run: KeptRun = {
  peer: 'qdrant=127.0.0.1:6333',
  version: '1',
  date: '2026-01-01T00:00:00.000Z',
  machine: {},
  parameters,
  loadBefore: 0,
  loadAfter: 0,
  figures: { importSeconds: 1, pointsPerSecond: 1_000, cpuMicrosPerInsert: null, searches: [], residentBytes: null, anonymousBytes: null, diskBytes: null, restartMs: null },
};

test('a run that was kept is read again, and one of other points or breadths is refused', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-kept-runs-'));
  context.after(() => rm(directory, { recursive: true }));
  const kept = await KeptRuns.in(join(directory, 'made', 'when missing'));
  await kept.write(2, run);
  assert.deepEqual(await kept.read(run.peer, 2, parameters), run);
  assert.equal(await kept.read(run.peer, 1, parameters), undefined);
  assert.equal(await kept.read('qdrant', 2, parameters), undefined);
  await assert.rejects(kept.read(run.peer, 2, { ...parameters, points: 2_000 }), /has points 1000, not 2000/);
  await assert.rejects(kept.read(run.peer, 2, { ...parameters, breadths: [16] }), /has breadths \[16,32\], not \[16\]/);
});
