import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError } from '../kernel/errors.ts';
import { anyObject, bytes, flag, integer, list, mapOf, named, number, object, oneOf, optional, readJson, required, text, uint64, vector, words, type JsonType } from './json-decoder.ts';

const point = object({ id: required(text), vector: optional(vector, () => []), tags: optional(list(words('a', 'b'))) });
const body = object({
  points: required(list(named('Point', point))),
  limit: optional(integer(1, 10), () => 5),
  exact: optional(flag),
  score: optional(number),
  version: optional(uint64),
  packed: optional(bytes),
  filter: optional(anyObject),
  context: optional(mapOf(text)),
  condition: optional(oneOf<{ $case: 'absent'; absent: boolean } | { $case: 'version'; version: bigint }>({ absent: flag, version: uint64 })),
});

test('a body that fits is read whole, absent fields filled in', () => {
  const given = {
    points: [{ id: 'x', vector: [1, -0.5], tags: ['a'] }, { id: 'y' }],
    exact: false,
    score: 1e300,
    version: 2 ** 53 - 1,
    packed: 'AACAPw==',
    filter: { any: ['thing'] },
    context: { k: 'v' },
    condition: { version: 3 },
  };
  assert.deepEqual(readJson(body, given), {
    points: [{ id: 'x', vector: [1, -0.5], tags: ['a'] }, { id: 'y', vector: [], tags: undefined }],
    limit: 5,
    exact: false,
    score: 1e300,
    version: BigInt(2 ** 53 - 1),
    packed: Buffer.from([0, 0, 0x80, 0x3f]),
    filter: { any: ['thing'] },
    context: new Map([['k', 'v']]),
    condition: { $case: 'version', version: 3n },
  });
});

const refused: readonly [name: string, given: unknown, code: string, field: string, message: string][] = [
  ['no object', 7, 'INVALID_ARGUMENT', 'the body', 'the body must be a JSON object'],
  ['an array', [], 'INVALID_ARGUMENT', 'the body', 'the body must be a JSON object'],
  ['a missing field', {}, 'INVALID_ARGUMENT', 'points', 'points is required'],
  ['an unknown field', { points: [], pionts: [] }, 'UNKNOWN_FIELD', 'pionts', 'pionts is not known here; known are points, limit, exact, score, version, packed, filter, context, condition'],
  ['an unknown field of an item', { points: [{ id: 'a' }, { id: 'b', vec: [] }] }, 'UNKNOWN_FIELD', 'points[1].vec', 'points[1].vec is not known here; known are id, vector, tags'],
  ['a name of the prototype', { points: [], constructor: 1 }, 'UNKNOWN_FIELD', 'constructor', 'constructor is not known here; known are points, limit, exact, score, version, packed, filter, context, condition'],
  ['null', { points: null }, 'INVALID_ARGUMENT', 'points', 'points must be an array'],
  ['a number for a string', { points: [{ id: 1 }] }, 'INVALID_ARGUMENT', 'points[0].id', 'points[0].id must be a string'],
  ['a component that is no number', { points: [{ id: 'a', vector: [1, '2'] }] }, 'INVALID_ARGUMENT', 'points[0].vector[1]', 'points[0].vector[1] must be a number'],
  ['an unknown word', { points: [{ id: 'a', tags: ['a', 'c'] }] }, 'INVALID_ARGUMENT', 'points[0].tags[1]', 'points[0].tags[1] must be one of a, b'],
  ['a fraction', { points: [], limit: 1.5 }, 'INVALID_ARGUMENT', 'limit', 'limit must be an integer from 1 to 10'],
  ['a number out of range', { points: [], limit: 11 }, 'INVALID_ARGUMENT', 'limit', 'limit must be an integer from 1 to 10'],
  ['a string for a number', { points: [], limit: '1' }, 'INVALID_ARGUMENT', 'limit', 'limit must be an integer from 1 to 10'],
  ['a number that JSON does not hold', { points: [], version: 2 ** 53 }, 'INVALID_ARGUMENT', 'version', 'version must be an integer from 0 to 9007199254740991'],
  ['a word for a flag', { points: [], exact: 'yes' }, 'INVALID_ARGUMENT', 'exact', 'exact must be true or false'],
  ['bytes that are no base64', { points: [], packed: '%%' }, 'INVALID_ARGUMENT', 'packed', 'packed must be a string in base64'],
  ['a map of other things', { points: [], context: { k: 1 } }, 'INVALID_ARGUMENT', 'context.k', 'context.k must be a string'],
  ['two of one', { points: [], condition: { absent: true, version: 1 } }, 'INVALID_ARGUMENT', 'condition', 'condition must have exactly one of absent, version'],
  ['none of one', { points: [], condition: {} }, 'INVALID_ARGUMENT', 'condition', 'condition must have exactly one of absent, version'],
  ['another than one', { points: [], condition: { older: 1 } }, 'UNKNOWN_FIELD', 'condition.older', 'condition.older is not known here; known are absent, version'],
  ['a long name', { points: [], ['x'.repeat(1000)]: 1 }, 'UNKNOWN_FIELD', 'x'.repeat(64), `${'x'.repeat(64)} is not known here; known are points, limit, exact, score, version, packed, filter, context, condition`],
];

for (const [name, given, code, field, message] of refused) {
  test(`refused with its field named: ${name}`, () => {
    assert.throws(
      () => readJson(body, given),
      (error) => {
        assert.ok(error instanceof ShoalError);
        assert.deepEqual([error.code, error.message, error.details], [code, message, { field }]);
        return true;
      },
    );
  });
}

test('other habits: null for absent, another spelling, but not both spellings', () => {
  const lenient = object({ topK: optional(integer(0, 9), () => 0), name: optional(text) }, { nullIsAbsent: true, alias: (name) => name.replace('K', '_k') });
  assert.deepEqual(readJson(lenient, { top_k: 3, name: null }), { topK: 3, name: undefined });
  assert.deepEqual(readJson(lenient, { topK: 3 }), { topK: 3, name: undefined });
  assert.throws(() => readJson(lenient, { top_k: 3, topK: 3 }), { message: 'topK is given twice, as topK and under another spelling' });
});

test('the schema says what the reader does', () => {
  assert.deepEqual(body.definitions, {
    Point: {
      type: 'object',
      properties: {
        id: { type: 'string' },
        vector: { type: 'array', items: { type: 'number' } },
        tags: { type: 'array', items: { type: 'string', enum: ['a', 'b'] } },
      },
      required: ['id'],
      additionalProperties: false,
    },
  });
  const { properties, required: names } = body.schema as { properties: Record<string, unknown>; required: string[] };
  assert.deepEqual(names, ['points']);
  assert.deepEqual(properties['points'], { type: 'array', items: { $ref: '#/components/schemas/Point' } });
  assert.deepEqual(properties['limit'], { type: 'integer', minimum: 1, maximum: 10 });
});

const base64: readonly [given: string, read: string][] = [
  ['', ''],
  ['/+8=', 'ffef'],
  ['_-8', 'ffef'],
  ['AA', '00'],
];
for (const [given, read] of base64) {
  test(`base64 "${given}" is ${read || 'nothing'}`, () => {
    assert.equal(Buffer.from(readJson(bytes as JsonType<Uint8Array>, given)).toString('hex'), read);
  });
}
