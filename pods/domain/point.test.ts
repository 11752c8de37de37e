import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from '../kernel/limits.ts';
import { encodePayload } from './point.ts';

const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) });
const read = (json: string): unknown => JSON.parse(json);

test('a payload becomes its JSON text', () => {
  const payload = { title: 'é', list: [1, null, true, { a: 'b' }], constructor: 1, toString: 'x' };
  assert.deepEqual(JSON.parse(new TextDecoder().decode(encodePayload(payload))), payload);
  assert.doesNotThrow(() => encodePayload(nested(limits.payloadDepthMax - 1)));
});

const refused: readonly [name: string, payload: unknown, code: string, field: string][] = [
  ['an array', [], 'INVALID_ARGUMENT', 'payload'],
  ['null', null, 'INVALID_ARGUMENT', 'payload'],
  ['NaN', { a: [NaN] }, 'INVALID_ARGUMENT', 'payload.a[0]'],
  ['half of a surrogate pair', { a: '\ud800' }, 'INVALID_ARGUMENT', 'payload.a'],
  ['what JSON does not know', { a: 1n }, 'INVALID_ARGUMENT', 'payload.a'],
  ['the key __proto__', read('{"__proto__": 1}'), 'INVALID_ARGUMENT', 'payload.__proto__'],
  ['the key __proto__ further in', read('{"a": [{"__proto__": {"b": 1}}]}'), 'INVALID_ARGUMENT', 'payload.a[0].__proto__'],
  ['too deep', nested(limits.payloadDepthMax), 'PAYLOAD_TOO_DEEP', `payload${'.a'.repeat(limits.payloadDepthMax)}`],
  ['too large', { a: 'x'.repeat(limits.payloadBytesMax) }, 'PAYLOAD_TOO_LARGE', 'payload'],
];
for (const [name, payload, code, field] of refused) {
  test(`refused: ${name}`, () => {
    assert.throws(() => encodePayload(payload), (error: { code: string; message: string; details: { field: string } }) => {
      assert.deepEqual([error.code, error.details.field, error.message.startsWith(field)], [code, field, true]);
      return true;
    });
  });
}
