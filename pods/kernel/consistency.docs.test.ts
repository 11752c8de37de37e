/** Aim: docs/consistency.md says of every error what a client does, and as the table of errors and the router have it. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { mayBeSentAgain } from '../router/retry-rule.ts';
import { errorTable, type ErrorCode } from './errors.ts';
import { limits } from './limits.ts';

const text = readFileSync(new URL('../../docs/consistency.md', import.meta.url), 'utf8');
const allCodes = Object.keys(errorTable) as ErrorCode[];

interface Row {
  readonly codes: readonly ErrorCode[];
  readonly read: string;
  readonly recognised: string;
  readonly other: string;
}

/** The table whose header begins with `first`; codes are in capitals between backticks. */
function rowsUnder(first: string): Row[] {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.startsWith(`| ${first} |`)) + 2;
  const end = lines.findIndex((line, index) => index >= start && !line.startsWith('|'));
  return lines.slice(start, end).map((line) => {
    const [codes = '', read = '', recognised = '', other = ''] = line.split('|').slice(1, -1).map((cell) => cell.trim());
    return { codes: Array.from(codes.matchAll(/`([A-Z_]+)`/g), ([, code]) => code as ErrorCode), read, recognised, other };
  });
}

test('every error has exactly one row that says what to do', () => {
  const named = rowsUnder('you got').flatMap(({ codes }) => codes);
  assert.deepEqual([...named].sort(), [...allCodes].sort());
});

test('a client is told to repeat exactly where the table of errors advises it', () => {
  const rows = rowsUnder('you got');
  const repeated = (cell: 'read' | 'recognised'): ErrorCode[] => rows.filter((row) => row[cell].startsWith('repeat')).flatMap(({ codes }) => codes);
  const advised = allCodes.filter((code) => errorTable[code].retry === 'after-backoff').sort();
  assert.deepEqual([repeated('read').sort(), repeated('recognised').sort()], [advised, advised]);
  const decided = rows.filter((row) => row.recognised.startsWith('read, decide')).flatMap(({ codes }) => codes);
  assert.deepEqual(decided.sort(), allCodes.filter((code) => errorTable[code].retry === 'after-reading').sort());
});

test('a write without a number is repeated only where nothing was done', () => {
  const repeated = rowsUnder('you got').filter((row) => row.other.startsWith('repeat')).flatMap(({ codes }) => codes);
  const perhapsDone = allCodes.filter((code) => mayBeSentAgain(code, 'read') && !mayBeSentAgain(code, 'write'));
  assert.deepEqual(
    repeated.filter((code) => perhapsDone.includes(code) || code === 'DEADLINE_EXCEEDED'),
    [],
  );
  assert.deepEqual([...repeated].sort(), ['NOT_ENOUGH_IN_SYNC', 'NOT_IN_SYNC', 'NOT_PRIMARY', 'OVERLOADED', 'STALE_EPOCH', 'STORAGE_READ_ONLY']);
});

test('what the router sends again is what it says there', () => {
  const rows = rowsUnder('the pod, or the way to it, says').filter(({ codes }) => codes.length > 0);
  const sent = (cell: 'read' | 'recognised' | 'other'): ErrorCode[] => rows.filter((row) => row[cell] === 'sent again').flatMap(({ codes }) => codes).sort();
  const expected = (kind: Parameters<typeof mayBeSentAgain>[1]): ErrorCode[] => allCodes.filter((code) => mayBeSentAgain(code, kind)).sort();
  assert.deepEqual([sent('read'), sent('recognised'), sent('other')], [expected('read'), expected('recognised-write'), expected('write')]);
});

test('the figures are those of the limits', () => {
  assert.match(text, new RegExp(`for at most ${limits.shardRetryMsMax / 1_000} s after the first failure`));
  assert.match(text, new RegExp(`at most ${limits.hedgedFractionMax * 100} % of the reads`));
  assert.match(text, new RegExp(`within ${limits.commitAnnounceMs} ms\\s+what is committed`));
});
