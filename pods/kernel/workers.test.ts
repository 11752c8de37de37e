import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { startWorker, type WorkerThread } from './workers.ts';

const echo = `import { parentPort, workerData } from 'node:worker_threads';
parentPort.on('message', (message) => {
  if (message === 'throw') throw new Error('broken');
  if (message === 'exit') process.exit(3);
  if (message === 'close') return parentPort.close();
  parentPort.postMessage([workerData, message]);
});`;

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'shoal-workers-'));
  await writeFile(join(directory, 'package.json'), '{"type":"module"}');
  await writeFile(join(directory, 'echo.ts'), `const kept: number = 1;\nif (kept !== 1) throw 1;\n${echo}`);
  await writeFile(join(directory, 'echo.js'), echo);
});
after(() => rm(directory, { recursive: true, force: true }));

interface Started {
  worker: WorkerThread<unknown>;
  message: Promise<unknown>;
  end: Promise<Error>;
}

function start(caller: string): Started {
  const message = Promise.withResolvers<unknown>();
  const end = Promise.withResolvers<Error>();
  const url = pathToFileURL(join(directory, caller)).href;
  const worker = startWorker<unknown, unknown>(url, 'echo', 'data', { onMessage: message.resolve, onEnd: end.resolve });
  return { worker, message: message.promise, end: end.promise };
}

for (const caller of ['main.ts', 'main.js']) {
  test(`${caller} starts the worker file of its own extension, with its data`, async () => {
    const { worker, message } = start(caller);
    worker.post(new Uint8Array(2));
    assert.deepEqual(await message, ['data', new Uint8Array(2)]);
    await worker.terminate();
    await worker.ended;
  });
}

const ends: [string, RegExp][] = [
  ['throw', /broken/],
  ['exit', /worker echo exited with code 3/],
  ['close', /worker echo exited with code 0/],
];
for (const [message, reason] of ends) {
  test(`a worker that ends itself by ${message} is reported once, and takes posts without effect`, async () => {
    const { worker, end } = start('main.js');
    worker.post(message);
    assert.match((await end).message, reason);
    await worker.ended;
    worker.post('too late');
  });
}

test('a transferred buffer is handed over, not copied', async () => {
  const { worker, message } = start('main.js');
  const bytes = new Uint8Array(3);
  worker.post(bytes, [bytes.buffer]);
  assert.equal(bytes.length, 0);
  await message;
  await worker.terminate();
});
