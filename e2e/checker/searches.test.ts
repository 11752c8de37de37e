/** Aim: what a search or a session read may show, decided on small histories of one id. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Consistency } from '../../pods/domain/consistency.ts';
import type { Hit, Search } from './history.ts';
import { eventual, got, linearizable, lost, operationsFrom, point, refused, remove, session, setPayload, upsert, wrote, type Part } from './operations.fixture.ts';
import { checkSearches, checkSessionReads } from './searches.ts';

/** The search runs from 100 to 110. */
function search(consistency: Consistency, hits: readonly Hit[], complete = false): Search {
  return { number: 1, clientId: 's', consistency, invokedAt: 100, respondedAt: 110, invokedMs: 100, respondedMs: 110, hits, complete };
}

const p: Hit = { id: 'p' };
const createdAt5 = wrote(0, 1, upsert(1), 'created', 5);
const deletedAt6 = wrote(2, 3, remove(), 'deleted', 0, 6);

const cases: readonly (readonly [name: string, parts: readonly Part[], search: Search, whatIsWrong: string | undefined])[] = [
  ['a point that was written', [createdAt5], search(eventual, [p]), undefined],
  ['a point that nobody wrote', [], search(eventual, [p]), 'shows present, which no write that was sent before can have left'],
  ['a point whose write was refused', [refused(0, 1, upsert(1))], search(eventual, [p]), 'shows present, which no write that was sent before can have left'],
  ['a point whose write was lost', [lost(0, upsert(1))], search(linearizable, [p]), undefined],
  ['a point whose write overlaps', [wrote(105, 120, upsert(1), 'created', 5)], search(eventual, [p]), undefined],
  ['a point whose write came later', [wrote(111, 120, upsert(1), 'created', 5)], search(eventual, [p]), 'shows present, which no write that was sent before can have left'],
  ['one id twice', [createdAt5], search(eventual, [p, p]), 'has it twice among 2 hits'],
  ['a version that was not given', [createdAt5], search(eventual, [{ ...p, version: 4 }]), 'shows version 4, which no write that was sent before can have left'],
  ['a payload that was replaced, eventually', [createdAt5, wrote(2, 3, setPayload(2), 'updated', 6)], search(eventual, [{ ...p, payload: 1 }]), undefined],
  ['a payload that was replaced, linearizably', [createdAt5, wrote(2, 3, setPayload(2), 'updated', 6)], search(linearizable, [{ ...p, payload: 1 }]), 'shows payload 1 of operation 1, but operation 2 (set payload 2 → updated, version 6) followed and was acknowledged'],
  ['a vector that a payload change left', [createdAt5, wrote(2, 3, setPayload(2), 'updated', 6)], search(linearizable, [{ ...p, ...point(1, 6, 2) }]), undefined],

  ['a deleted point, eventually', [createdAt5, deletedAt6], search(eventual, [p]), undefined],
  ['a deleted point, linearizably', [createdAt5, deletedAt6], search(linearizable, [p]), 'shows present of operation 1, but operation 2 (delete → deleted) followed and was acknowledged'],
  ['a deleted point, its place in the log not known', [createdAt5, wrote(2, 3, remove(), 'deleted')], search(linearizable, [p]), 'shows present of operation 1, but operation 2 (delete → deleted) followed and was acknowledged'],
  ['a deleted point, with the deletion\'s token', [createdAt5, deletedAt6], search(session(6), [p]), 'shows present of operation 1, but operation 2 (delete → deleted) followed and was acknowledged'],
  ['a deleted point, with a later token', [createdAt5, deletedAt6], search(session(9), [p]), 'shows present of operation 1, but operation 2 (delete → deleted) followed and was acknowledged'],
  ['a deleted point, with an earlier token', [createdAt5, deletedAt6], search(session(5), [p]), undefined],
  ['a token of another shard', [createdAt5, deletedAt6], search({ level: 'session', tokens: [{ shardUID: 'other', seq: 9 }] }, [p]), undefined],
  ['a deletion that was not acknowledged', [createdAt5, lost(2, remove())], search(linearizable, [p]), undefined],
  ['a deletion that found nothing', [createdAt5, wrote(2, 3, remove(), 'not-found', 0, 6)], search(linearizable, [p]), undefined],
  ['a deletion acknowledged during the search', [createdAt5, wrote(90, 105, remove(), 'deleted', 0, 6)], search(linearizable, [p]), undefined],
  ['deleted and written again', [createdAt5, deletedAt6, wrote(4, 5, upsert(2), 'created', 7)], search(linearizable, [p]), undefined],
  ['deleted, then perhaps written again', [createdAt5, deletedAt6, lost(4, upsert(2))], search(linearizable, [p]), undefined],
  ['a deletion beside the write, before it in the log', [wrote(0, 9, upsert(1), 'created', 5), wrote(0, 9, remove(), 'deleted', 0, 4)], search(linearizable, [p]), undefined],
  ['a deletion beside the write, after it in the log', [wrote(0, 9, upsert(1), 'created', 5), wrote(0, 9, remove(), 'deleted', 0, 6)], search(linearizable, [p]), 'shows present of operation 1, but operation 2 (delete → deleted) followed and was acknowledged'],
  ['a deletion that was sent twice may be earlier than its token', [wrote(0, 9, upsert(1), 'created', 5), { ...wrote(0, 9, remove(), 'deleted', 0, 6), attemptCount: 2 }], search(linearizable, [p]), undefined],

  ['a point left out of a search that need not be complete', [createdAt5], search(linearizable, []), undefined],
  ['a point left out of a complete search', [createdAt5], search(linearizable, [], true), 'does not have it: it is absent, but operation 1 (upsert vector 1 payload 1 → created, version 5) was acknowledged, and no deletion can have followed'],
  ['left out by a replica that is at the token', [createdAt5], search(session(5), [], true), 'does not have it: it is absent, but operation 1 (upsert vector 1 payload 1 → created, version 5) was acknowledged, and no deletion can have followed'],
  ['left out, written without a token', [wrote(0, 1, upsert(1), 'created', 5, 0)], search(session(5), [], true), undefined],
  ['left out, eventually', [createdAt5], search(eventual, [], true), undefined],
  ['left out and deleted', [createdAt5, deletedAt6], search(linearizable, [], true), undefined],
  ['left out and perhaps deleted', [createdAt5, lost(2, remove())], search(linearizable, [], true), undefined],
  ['left out, deleted only before it was written', [createdAt5, deletedAt6, wrote(4, 5, upsert(2), 'created', 7)], search(linearizable, [], true), 'does not have it: it is absent, but operation 3 (upsert vector 2 payload 2 → created, version 7) was acknowledged, and no deletion can have followed'],
];

for (const [name, parts, asked, whatIsWrong] of cases) {
  test(`${asked.consistency.level} search: ${name}`, () => {
    const expected = whatIsWrong === undefined ? [] : [{ promise: 'searches', what: `p: ${asked.consistency.level} search 1 of s at 100 ms ${whatIsWrong}` }];
    assert.deepEqual(checkSearches([asked], new Map([['p', operationsFrom(parts)]])), expected);
  });
}

const reads: readonly (readonly [name: string, wrong: boolean, parts: readonly Part[]])[] = [
  ['at the token', false, [createdAt5, got(10, 11, point(1, 5), session(5))]],
  ['behind the token', true, [createdAt5, got(10, 11, undefined, session(5))]],
  ['below the token, ahead of it', false, [createdAt5, wrote(2, 3, upsert(2), 'updated', 6), got(10, 11, point(2, 6), session(5))]],
  ['an older version than the token\'s', true, [createdAt5, wrote(2, 3, upsert(2), 'updated', 6), got(10, 11, point(1, 5), session(6))]],
  ['without a token anything that was', false, [createdAt5, wrote(2, 3, upsert(2), 'updated', 6), got(10, 11, point(1, 5), eventual), got(12, 13, undefined, eventual)]],
  ['but nothing that never was', true, [createdAt5, got(10, 11, point(2, 5), eventual)]],
  ['nor what comes later', true, [got(0, 1, point(1, 5), eventual), wrote(2, 3, upsert(1), 'created', 5)]],
  ['linearizable gets are judged elsewhere', false, [got(0, 1, point(1, 5), linearizable)]],
];

for (const [name, wrong, parts] of reads) {
  test(`session read: ${name}`, () => {
    assert.equal(checkSessionReads(operationsFrom(parts)).length, wrong ? 1 : 0);
  });
}
