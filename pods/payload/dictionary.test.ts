import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dictionary } from './dictionary.ts';

test('strings keep their numbers, few or many', () => {
  const dictionary = new Dictionary();
  for (let i = 0; i < 20_000; i++) assert.equal(dictionary.intern(`text ${i}`), i);
  for (let i = 0; i < 20_000; i++) {
    assert.equal(dictionary.intern(`text ${i}`), i);
    assert.equal(dictionary.find(`text ${i}`), i);
    assert.equal(dictionary.stringOf(i), `text ${i}`);
  }
  assert.deepEqual([dictionary.size, dictionary.numberLimit, dictionary.find('other')], [20_000, 20_000, undefined]);
});

test('a released number is used again', () => {
  const dictionary = new Dictionary();
  dictionary.intern('a');
  dictionary.intern('b');
  dictionary.release(0);
  assert.deepEqual([dictionary.find('a'), dictionary.stringOf(0), dictionary.size], [undefined, undefined, 1]);
  assert.deepEqual([dictionary.intern('c'), dictionary.stringOf(0), dictionary.numberLimit], [0, 'c', 2]);
  assert.throws(() => dictionary.release(7), { name: 'AssertionError' });
});

test('while pinned, numbers in use keep their strings, and no number below the limit gets a new one', () => {
  const dictionary = new Dictionary();
  for (const text of ['a', 'b', 'c']) dictionary.intern(text);
  dictionary.release(0);
  dictionary.pin();
  const limit = dictionary.numberLimit;
  dictionary.release(1);
  // "b" would be there twice if it got the number of "a".
  assert.equal(dictionary.intern('b'), limit);
  assert.deepEqual([0, 1, 2].map((number) => dictionary.stringOf(number)), [undefined, 'b', 'c']);
  assert.throws(() => dictionary.pin(), { name: 'AssertionError' });
  dictionary.unpin();
  assert.deepEqual([0, 1, 2, 3].map((number) => dictionary.stringOf(number)), [undefined, undefined, 'c', 'b']);
  assert.deepEqual([dictionary.intern('d'), dictionary.intern('e'), dictionary.intern('f')].sort(), [0, 1, 4]);
});

test('restored strings have their numbers, and the gaps are free', () => {
  const dictionary = new Dictionary();
  assert.equal(dictionary.restore(1, 'b'), true);
  assert.equal(dictionary.restore(3, 'd'), true);
  assert.equal(dictionary.restore(2, 'c'), false);
  assert.equal(dictionary.restore(4, 'd'), false);
  assert.deepEqual([dictionary.find('b'), dictionary.find('d'), dictionary.size], [1, 3, 2]);
  assert.deepEqual([dictionary.intern('x'), dictionary.intern('y'), dictionary.intern('z')].sort(), [0, 2, 4]);
});
