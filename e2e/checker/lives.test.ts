/** Aim: which reads an earlier collection of the same name may have answered, and that everything else is still found. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Consistency } from '../../pods/domain/consistency.ts';
import { History, type Seen, type WriteCall } from './history.ts';
import { judge } from './judge.ts';
import { checkWritesOfLives, whereAnswered, type Life } from './lives.ts';
import { eventual, linearizable, point, remove, setPayload, upsert } from './operations.fixture.ts';

/** A life has one shard, named after it. */
class TestLife implements Life {
  readonly uid: string;
  readonly history = new History(() => 0);
  readonly #present = new Set<string>();
  #requestNumber = 0;

  constructor(uid: string) {
    this.uid = uid;
  }

  /** Acknowledged, unless no version is given. */
  writes(id: string, call: WriteCall, version?: number, { seq = version ?? 0, shardUID = `shard of ${this.uid}` } = {}): this {
    const attempt = this.history.invoke({ id: `${this.uid}/${id}`, clientId: 'writer', requestNumber: ++this.#requestNumber, call });
    if (version === undefined) attempt.lost();
    else attempt.answered({ outcome: call.kind === 'delete' ? 'deleted' : this.#present.has(id) ? 'updated' : 'created', version, tokens: [{ shardUID, seq }] });
    if (call.kind === 'delete') this.#present.delete(id);
    else this.#present.add(id);
    return this;
  }

  refuses(id: string, content: number): this {
    this.history.invoke({ id: `${this.uid}/${id}`, clientId: 'writer', requestNumber: ++this.#requestNumber, call: upsert(content) }).failed();
    return this;
  }

  gets(id: string, consistency: Consistency, seen: Seen | undefined): this {
    this.history.invoke({ id: `${this.uid}/${id}`, clientId: 'reader', requestNumber: ++this.#requestNumber, call: { kind: 'get', consistency } }).answered({ seen });
    return this;
  }

  finds(consistency: Consistency, hits: Readonly<Record<string, Seen>>): this {
    this.history.search('reader', consistency).answered(Object.entries(hits).map(([id, seen]) => ({ id: `${this.uid}/${id}`, ...seen })), { complete: true });
    return this;
  }
}

const life = (uid: string): TestLife => new TestLife(uid);
const session = (...tokens: readonly (readonly [life: string, seq: number])[]): Consistency => ({ level: 'session', tokens: tokens.map(([uid, seq]) => ({ shardUID: `shard of ${uid}`, seq })) });

/** The first life, as it was when it was deleted: p0 and p2, and p1 that was deleted. */
const first = (): TestLife => life('a').writes('p0', upsert(2342), 4).writes('p2', upsert(2350), 7).writes('p1', upsert(2351), 8).writes('p1', remove(), 0, { seq: 9 });
/** The one after it: p2 does not exist, and then has the version that it had in the first. */
const second = (): TestLife => life('b').writes('p1', upsert(2368), 2).writes('p1', setPayload(2373), 4);

const cases: readonly (readonly [name: string, lives: readonly TestLife[], broken: readonly string[]])[] = [
  [
    'reads that the first answered, through a gateway that had not heard of the second',
    [first(), second().gets('p2', eventual, point(2350, 7)).finds(eventual, { p2: point(2350, 7), p0: point(2342, 4) }).finds(session(['a', 7]), { p0: point(2342, 4), p2: point(2350, 7) }).writes('p2', upsert(2375), 7)],
    [],
  ],
  ['reads that the second answered, one of them with a token of the first', [first(), second().gets('p1', eventual, point(2368, 4, 2373)).gets('p1', session(['a', 9]), point(2368, 2)).gets('p2', eventual, undefined)], []],
  ['a state that the first left behind long ago', [first(), second().gets('p1', eventual, point(2351, 8))], []],
  ['a write of unknown outcome to the first', [first().writes('p2', upsert(2360)), second().gets('p2', eventual, point(2360, 11))], []],
  ['the first, as of the token', [first(), second().gets('p0', session(['a', 4]), point(2342, 4))], []],

  ['with a token of the second', [first(), second().gets('p2', session(['b', 2]), point(2350, 7))], ['session reads']],
  ['with tokens of both', [first(), second().gets('p2', session(['a', 7], ['b', 2]), point(2350, 7))], ['session reads']],
  ['a search with a token of the second, whose point it lacks too', [first(), second().finds(session(['b', 2]), { p0: point(2342, 4) })], ['searches', 'searches']],
  ['linearizable', [first(), second().gets('p2', linearizable, point(2350, 7))], ['linearizable']],
  ['a linearizable search', [first(), second().finds(linearizable, { p2: point(2350, 7) })], ['searches', 'searches']],
  ['a version that the first did not give', [first(), second().gets('p2', eventual, point(2350, 8))], ['session reads']],
  ['a payload with another vector', [first(), second().gets('p2', eventual, point(2342, 7, 2350))], ['session reads']],
  ['the content of another point', [first(), second().gets('p0', eventual, point(2350, 7))], ['session reads']],
  ['what nobody wrote', [first(), second().gets('p2', eventual, point(9, 7))], ['session reads']],
  ['what was refused', [first().refuses('p2', 2360), second().gets('p2', eventual, point(2360, 11))], ['session reads']],
  ['a search that mixes both', [first(), second().finds(eventual, { p2: point(2350, 7), p1: point(2368, 2) })], ['searches']],
  ['a point twice in a search of the first', [first(), (() => {
    const b = second();
    b.history.search('reader', eventual).answered([{ id: 'b/p2', ...point(2350, 7) }, { id: 'b/p2', ...point(2350, 7) }]);
    return b;
  })()], ['searches', 'searches', 'searches']],
  ['the first, behind the token', [first().writes('p0', upsert(2355), 12), second().gets('p0', session(['a', 12]), point(2342, 4))], ['session reads']],
  ['the first, a deleted point behind the token', [first(), second().finds(session(['a', 9]), { p1: point(2351, 8) })], ['searches']],
  ['one version of the first with two contents', [first().writes('p2', upsert(2360)).writes('p2', upsert(2361)).gets('p2', eventual, point(2360, 11)), second().gets('p2', eventual, point(2361, 11))], ['versions']],
  ['one version of the first with two contents, both seen later', [first().writes('p2', upsert(2360)).writes('p2', upsert(2361)), second().gets('p2', eventual, point(2360, 11)), life('c').gets('p2', eventual, point(2361, 11))], ['versions']],
  ['a later life', [first().gets('p1', eventual, point(2368, 2)), second()], ['session reads']],

  ['the first of three, with a token of the first', [first(), second(), life('c').gets('p2', session(['a', 7]), point(2350, 7))], []],
  ['the first of three, with a token of the second', [first(), second(), life('c').gets('p2', session(['b', 4]), point(2350, 7))], ['session reads']],
  ['the second of three, with a token of the second', [first(), second(), life('c').gets('p1', session(['b', 4]), point(2368, 4, 2373))], []],
  ['the second of three, behind the token', [first(), second(), life('c').gets('p1', session(['b', 4]), point(2368, 2))], ['session reads']],
];

for (const [name, lives, broken] of cases) {
  test(`${name}: ${broken.length === 0 ? 'right' : 'wrong'}`, () => {
    assert.deepEqual(whereAnswered(lives).flatMap((history) => judge(history).violations.map(({ promise }) => promise)), broken);
    assert.deepEqual(checkWritesOfLives(lives), []);
  });
}

test('a read is judged in one life, and what it saw is told', () => {
  const [a, b] = whereAnswered([first(), second().gets('p2', eventual, point(2350, 7))]).map((history) => judge(history).counts.operations);
  assert.deepEqual([a, b], [5, 2]);
  const violations = whereAnswered([first(), second().gets('p2', session(['b', 2]), point(2350, 7))]).flatMap((history) => judge(history).violations);
  assert.deepEqual(violations, [{ promise: 'session reads', what: 'b/p2: session get 3 of reader at 0 ms shows vector 2350 payload 2350 version 7, which no write that was sent before can have left' }]);
});

test('a write that an earlier life acknowledged', () => {
  const lives = [first(), second().writes('p3', upsert(2380), 15, { shardUID: 'shard of a' })];
  assert.deepEqual(checkWritesOfLives(lives).map(({ promise, what }) => [promise, what]), [
    ['written where it was sent', 'b/p3: operation 3 of writer at 0 ms was acknowledged by shard shard of a of collection a, which had been deleted before it was sent'],
  ]);
});
