/** Aim: a version names one write, whoever sees it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Seen } from './history.ts';
import { eventual, got, lost, operationsFrom, point, remove, setPayload, upsert, wrote, type Part } from './operations.fixture.ts';
import { checkVersions } from './versions.ts';

const created = wrote(0, 1, upsert(1), 'created', 5);

const cases: readonly (readonly [name: string, parts: readonly Part[], hits: readonly Partial<Seen>[], what: readonly string[]])[] = [
  ['each its own', [created, wrote(2, 3, setPayload(2), 'updated', 6), wrote(4, 5, remove(), 'deleted'), wrote(6, 7, remove(), 'not-found')], [{ version: 5, payload: 1 }, { version: 6, payload: 2 }], []],
  ['one for two writes', [created, wrote(2, 3, setPayload(2), 'updated', 5)], [], ['version 5 was given to operation 1 (upsert vector 1 payload 1 → created, version 5) and to operation 2 (set payload 2 → updated, version 5)']],
  ['a condition that failed names another\'s', [created, wrote(2, 3, upsert(2, { kind: 'absent' }), 'condition-failed', 5)], [], []],
  ['a read of another content', [created, got(2, 3, point(2, 5), eventual)], [], ['version 5 was seen with vector 2 payload 2 version 5, but was given to operation 1 (upsert vector 1 payload 1 → created, version 5)']],
  ['a hit of another content', [created], [{ version: 5, payload: 2 }], ['version 5 was seen with payload 2 version 5, but was given to operation 1 (upsert vector 1 payload 1 → created, version 5)']],
  ['two contents of a lost write', [lost(0, upsert(1)), got(1, 2, point(1, 5)), got(3, 4, point(2, 5))], [], ['version 5 was seen with vector 1 payload 1 version 5 and with vector 2 payload 2 version 5']],
  ['a hit without a version', [created], [{ payload: 2 }], []],
];

for (const [name, parts, hits, what] of cases) {
  test(name, () => {
    assert.deepEqual(checkVersions(operationsFrom(parts), hits), what.map((text) => ({ promise: 'versions', what: `p: ${text}` })));
  });
}
