/** Aim: of every error code it is decided which requests are sent again, and only such that cannot do harm. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorTable, type ErrorCode } from '../kernel/errors.ts';
import { contradictsMap, mayBeSentAgain, type Repeatability } from './retry-rule.ts';

const allCodes = Object.keys(errorTable) as ErrorCode[];
const sentAgain = (kind: Repeatability): ErrorCode[] => allCodes.filter((code) => mayBeSentAgain(code, kind)).sort();

test('what is sent again', () => {
  const nothingDone = ['NOT_IN_SYNC', 'NOT_PRIMARY', 'STALE_EPOCH', 'UNAVAILABLE'];
  const perhapsDone = ['OUTCOME_UNKNOWN', 'SHUTTING_DOWN'];
  assert.deepEqual(
    { read: sentAgain('read'), recognised: sentAgain('recognised-write'), write: sentAgain('write') },
    { read: [...nothingDone, ...perhapsDone].sort(), recognised: [...nothingDone, ...perhapsDone].sort(), write: nothingDone },
  );
});

test('the table of errors agrees: what it advises never to send again is not sent again', () => {
  assert.deepEqual(
    sentAgain('read').filter((code) => errorTable[code].retry !== 'after-backoff'),
    [],
  );
});

test('what a pod says of the map', () => {
  assert.deepEqual(allCodes.filter(contradictsMap).sort(), ['NOT_IN_SYNC', 'NOT_PRIMARY', 'STALE_EPOCH']);
});
