import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasCode } from '../kernel/errors.ts';
import { faultyFileSystem, type FaultyFileSystem } from '../kernel/faulty-file-system.ts';
import { below, seededRandom } from '../kernel/random.ts';
import { openDataDirectory } from './data-directory.ts';

const newDisk = (): FaultyFileSystem => faultyFileSystem({ random: seededRandom(1) });

async function write(disk: FaultyFileSystem, path: string, text: string): Promise<void> {
  const file = await disk.open(path, 'create');
  await file.write([new TextEncoder().encode(text)], 0);
  await file.sync();
}

test('an empty directory becomes ours, and is found again', async () => {
  const disk = newDisk();
  await disk.makeDirectory('/data/lost+found');
  const layout = await openDataDirectory(disk, '/data', '1.2.3');
  assert.equal(new TextDecoder().decode(await disk.readFile('/data/FORMAT')), '{"format":1,"createdBy":"1.2.3"}\n');
  assert.deepEqual(await disk.list('/data'), ['FORMAT', 'checkpoints', 'log', 'lost+found', 'metadata', 'store']);
  assert.deepEqual((await openDataDirectory(disk, '/data', '2.0.0')).checkpoints(7), layout.checkpoints(7));
  assert.equal(layout.checkpoints(7), '/data/checkpoints/7');
});

test('what is not ours, too new or unreadable is refused and left alone', async () => {
  const cases: [string, string, string][] = [
    ['notes.txt', 'mine', 'INVALID_ARGUMENT'],
    ['FORMAT', '{"format": 2}', 'FORMAT_TOO_NEW'],
    ['FORMAT', '{"format": 0}', 'CORRUPTION'],
    ['FORMAT', '{"format": "1"}', 'CORRUPTION'],
    ['FORMAT', '{"for', 'CORRUPTION'],
    ['FORMAT', '', 'CORRUPTION'],
  ];
  for (const [name, text, code] of cases) {
    const disk = newDisk();
    await disk.makeDirectory('/data');
    await write(disk, `/data/${name}`, text);
    await assert.rejects(openDataDirectory(disk, '/data', '1'), (error) => hasCode(error, code as never), `${name}: ${text}`);
    assert.deepEqual(await disk.list('/data'), [name]);
  }
});

test('a first start that is cut off anywhere is finished by the next', async () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = seededRandom(seed);
    const disk = faultyFileSystem({ random, faults: { delay: 0.7 } });
    const cut = openDataDirectory(disk.mount(), '/data', '1').catch(() => undefined);
    for (let turn = below(random, 8); turn > 0; turn--) await new Promise(setImmediate);
    disk.crash();
    await cut;
    await openDataDirectory(disk.mount(), '/data', '1');
    disk.crash();
    assert.notEqual(await disk.readFile('/data/FORMAT'), undefined, `SHOAL_SEED=${seed}`);
  }
});
