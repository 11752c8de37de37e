/** Aim: the lines that porcupine's program reads, field by field. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventual, got, lost, operationsFrom, point, refused, remove, setPayload, upsert, wrote } from './operations.fixture.ts';
import { porcupineLines } from './porcupine-file.ts';

test('lines', () => {
  const operations = operationsFrom([
    wrote(0, 1, upsert(7, { kind: 'absent' }), 'created', 5),
    wrote(2, 3, setPayload(8, { kind: 'version', version: 5 }), 'updated', 6),
    got(4, 5, point(7, 6, 8)),
    got(4, 5, point(7, 6, 8), eventual),
    refused(6, 7, upsert(9)),
    lost(8, remove()),
    got(9, 10, undefined),
  ]);
  const id = 'p';
  assert.deepEqual(
    porcupineLines(operations).trimEnd().split('\n').map((line) => JSON.parse(line) as unknown),
    [
      { id, client: 'c1', call: 0, return: 1, kind: 'upsert', vector: 7, payload: 7, condition: { kind: 'absent' }, outcome: 'created', version: 5 },
      { id, client: 'c2', call: 2, return: 3, kind: 'set-payload', payload: 8, condition: { kind: 'version', version: 5 }, outcome: 'updated', version: 6 },
      { id, client: 'c3', call: 4, return: 5, kind: 'get', seen: { vector: 7, payload: 8, version: 6 } },
      { id, client: 'c6', call: 8, return: null, kind: 'delete' },
      { id, client: 'c7', call: 9, return: 10, kind: 'get', seen: null },
    ],
  );
});

test('instants that are no integers cannot be written', () => {
  assert.throws(() => porcupineLines(operationsFrom([got(0.5, 1, undefined)])), /instants are integers/);
});
