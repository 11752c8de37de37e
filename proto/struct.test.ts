import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { Struct } from './struct.ts';

const through = (object: Struct): Struct => Struct.decode(Struct.encode(object).finish());
const nested = (depth: number): Struct => (depth === 1 ? {} : { a: nested(depth - 1) });

const kept: readonly [name: string, object: Struct][] = [
  ['nothing', {}],
  ['every kind', { text: 'é ✓', number: 1.5, yes: true, no: false, none: null, list: [1, 'a', null, [], {}], object: { a: { b: [] } } }],
  ['empty names and values', { '': '', zero: 0 }],
  ['minus zero', { zero: -0, list: [-0] }],
  ['the ends of the doubles', { big: Number.MAX_VALUE, small: Number.MIN_VALUE, whole: 2 ** 53 }],
  ['a key that names the prototype', JSON.parse('{"__proto__": {"a": 1}, "b": {"__proto__": "x"}, "constructor": 1}') as Struct],
  ['deep nesting', nested(150)],
  ['a long text', { text: 'x'.repeat(100_000) }],
];

for (const [name, object] of kept) {
  test(`a Struct keeps ${name}`, () => {
    assert.deepEqual(through(object), object);
    assert.equal(JSON.stringify(through(object)), JSON.stringify(object));
    assert.equal(Object.is((through({ zero: -0 }) as { zero: number }).zero, -0), true);
  });
}

test('a Struct leaves out what is undefined', () => {
  assert.deepEqual(through({ a: undefined, b: 1 }), { b: 1 });
});

test('the bytes are those of the specification', () => {
  // fields { key "a", value { list { values { number 1 }, values { null } } } }, from the inside out.
  const list = '0a09' + '11000000000000f03f' + '0a02' + '0800';
  const value = '320f' + list;
  const entry = '0a0161' + '1211' + value;
  const expected = Buffer.from('0a16' + entry, 'hex');
  assert.deepEqual(Buffer.from(Struct.encode({ a: [1, null] }).finish()), expected);
});

test('fields that are not known are passed over, a value without a kind is null', () => {
  const entry = new BinaryWriter().uint32(0x0a).string('a').uint32(0x12).fork().join().uint32(0x18).uint32(7).finish();
  const bytes = new BinaryWriter().uint32(0x10).uint32(1).uint32(0x0a).bytes(entry).finish();
  assert.deepEqual(Struct.decode(bytes), { a: null });
});

const refused: readonly [name: string, bytes: Uint8Array][] = [
  ['a length beyond the end', Uint8Array.of(0x0a, 0x05, 0x0a)],
  ['a part longer than what holds it', Uint8Array.of(0x0a, 0x02, 0x0a, 0x05, 0x41, 0x41, 0x41, 0x41, 0x41)],
  ['nesting without bound', Struct.encode(nested(300)).finish()],
];

for (const [name, bytes] of refused) {
  test(`a Struct with ${name} is refused`, () => {
    assert.throws(() => Struct.decode(bytes), RangeError);
  });
}
