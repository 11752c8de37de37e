import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Payload } from '../domain/point.ts';
import type { WriteCondition } from '../domain/write.ts';
import { bytesOfVector } from '../domain/vector-bytes.ts';
import { hasCode } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { needsPayload, resolvePointWrite, resolveRecordWrite, type PointWrite, type PriorPoint } from './write-resolver.ts';

const encode = (payload: Payload): Uint8Array => new TextEncoder().encode(JSON.stringify(payload));
const decode = (payload: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(payload));
const prior = (version: number, payload: Payload = { color: 'red', size: 3 }): PriorPoint => ({
  state: { label: 1, version, vectorVersion: version },
  payload: { id: 'p', version, payload: encode(payload), text: undefined },
});
const vector = bytesOfVector(Float32Array.of(1, 2));
const matches = (value: string): WriteCondition => ({ kind: 'matches', filter: { kind: 'equals', field: 'color', value } });

test('conditions by what is there', () => {
  const present = prior(7);
  const cases: [WriteCondition | undefined, PriorPoint | undefined, boolean][] = [
    [undefined, undefined, true],
    [undefined, present, true],
    [{ kind: 'absent' }, undefined, true],
    [{ kind: 'absent' }, present, false],
    [{ kind: 'present' }, undefined, false],
    [{ kind: 'present' }, present, true],
    [{ kind: 'version', version: 7 }, present, true],
    [{ kind: 'version', version: 6 }, present, false],
    [{ kind: 'version', version: 0 }, undefined, true],
    [{ kind: 'version', version: 0 }, present, false],
    [matches('red'), present, true],
    [matches('blue'), present, false],
    [matches('red'), undefined, false],
  ];
  for (const [condition, before, holds] of cases) {
    const write: PointWrite = { kind: 'upsert', points: [{ id: 'p', vector, payload: encode({}), ...(condition === undefined ? {} : { condition }) }] };
    const { operations, results } = resolvePointWrite(write, [before], 9);
    const expected = holds ? { outcome: before === undefined ? 'created' : 'updated', version: 9 } : { outcome: 'condition-failed', version: before?.state.version ?? 0 };
    assert.deepEqual([results, operations.length], [[expected], holds ? 1 : 0], JSON.stringify(condition));
  }
});

test('a deletion names only what is there', () => {
  const write: PointWrite = { kind: 'delete', points: [{ id: 'a' }, { id: 'b' }, { id: 'c', condition: { kind: 'version', version: 1 } }] };
  assert.deepEqual(resolvePointWrite(write, [prior(3), undefined, prior(4)], 9), {
    operations: [{ kind: 'delete', id: 'a' }],
    results: [
      { outcome: 'deleted', version: 0 },
      { outcome: 'not-found', version: 0 },
      { outcome: 'condition-failed', version: 4 },
    ],
  });
});

test('a payload change logs the whole payload as it is afterwards', () => {
  const cases: [object, Payload][] = [
    [{ set: { size: 4, new: null } }, { color: 'red', size: 4, new: null }],
    [{ remove: ['size', 'nothing'] }, { color: 'red' }],
    [{ set: { a: 1 }, replace: true }, { a: 1 }],
    [{ set: { a: 1 }, remove: ['a'] }, { color: 'red', size: 3 }],
    [{ replace: true }, {}],
  ];
  for (const [change, after] of cases) {
    const { operations, results } = resolvePointWrite({ kind: 'change-payload', changes: [{ id: 'p', ...change }] }, [prior(3)], 9);
    const [operation] = operations;
    assert(operation?.kind === 'set-payload');
    assert.deepEqual([decode(operation.payload), operation.version, results], [after, 9, [{ outcome: 'updated', version: 9 }]]);
  }
  const missing = resolvePointWrite({ kind: 'change-payload', changes: [{ id: 'p', set: {} }] }, [undefined], 9);
  assert.deepEqual(missing, { operations: [], results: [{ outcome: 'not-found', version: 0 }] });
});

test('a payload that grows beyond the limit by a change is refused', () => {
  const half = 'x'.repeat(limits.payloadBytesMax / 2);
  const write: PointWrite = { kind: 'change-payload', changes: [{ id: 'p', set: { b: half } }] };
  assert.throws(() => resolvePointWrite(write, [prior(3, { a: half })], 9), (error) => hasCode(error, 'PAYLOAD_TOO_LARGE'));
});

test('payloads are read where they decide', () => {
  assert.deepEqual(
    [
      needsPayload({ kind: 'upsert', points: [] }, { id: 'p' }),
      needsPayload({ kind: 'upsert', points: [] }, { id: 'p', condition: matches('red') }),
      needsPayload({ kind: 'delete', points: [] }, { id: 'p', condition: { kind: 'version', version: 1 } }),
      needsPayload({ kind: 'change-payload', changes: [] }, { id: 'p' }),
    ],
    [false, true, false, true],
  );
});

test('records: expected version, creation, deletion', () => {
  const value = Uint8Array.of(1);
  const put = (expectedVersion: number | undefined, present: number): unknown => resolveRecordWrite({ kind: 'put-record', key: 'k', value, expectedVersion }, present, 9);
  const written = { kind: 'put-record', key: 'k', version: 9, value };
  assert.deepEqual(put(undefined, 0), { operations: [written], results: [{ outcome: 'created', version: 9 }] });
  assert.deepEqual(put(undefined, 4), { operations: [written], results: [{ outcome: 'updated', version: 9 }] });
  assert.deepEqual(put(0, 0), { operations: [written], results: [{ outcome: 'created', version: 9 }] });
  assert.deepEqual(put(0, 4), { operations: [], results: [{ outcome: 'condition-failed', version: 4 }] });
  assert.deepEqual(put(4, 4), { operations: [written], results: [{ outcome: 'updated', version: 9 }] });
  assert.deepEqual(resolveRecordWrite({ kind: 'delete-record', key: 'k' }, 0, 9), { operations: [], results: [{ outcome: 'not-found', version: 0 }] });
  assert.deepEqual(resolveRecordWrite({ kind: 'delete-record', key: 'k' }, 4, 9), { operations: [{ kind: 'delete-record', key: 'k' }], results: [{ outcome: 'deleted', version: 0 }] });
});
