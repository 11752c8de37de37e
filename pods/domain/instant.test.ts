import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseInstant } from './instant.ts';

const table: readonly [text: string, instant: number | undefined][] = [
  ['1970-01-01T00:00:00Z', 0],
  ['2024-02-29T12:30:15.250Z', Date.UTC(2024, 1, 29, 12, 30, 15, 250)],
  ['2024-05-01T12:00:00+02:00', Date.UTC(2024, 4, 1, 10)],
  ['2024-05-01T00:30:00-05:30', Date.UTC(2024, 4, 1, 6)],
  ['2024-01-01T00:00:00+23:59', Date.UTC(2023, 11, 31, 0, 1)],
  ['2024-05-01t12:00:00z', Date.UTC(2024, 4, 1, 12)],
  ['2024-05-01 12:00:00-00:00', Date.UTC(2024, 4, 1, 12)],
  ['2016-12-31T23:59:60Z', Date.UTC(2017, 0, 1)],
  ['1969-12-31T23:59:59.5Z', -500],
  ['0000-01-01T00:00:00Z', -62_167_219_200_000],
  ['0099-01-01T00:00:00Z', new Date('0099-01-01T00:00:00Z').getTime()],
  ['9999-12-31T23:59:59Z', Date.UTC(9999, 11, 31, 23, 59, 59)],
  ['2000-02-29T00:00:00Z', Date.UTC(2000, 1, 29)],
  ['2024-05-01T12:00:00', undefined],
  ['2024-05-01', undefined],
  ['2023-02-29T00:00:00Z', undefined],
  ['1900-02-29T00:00:00Z', undefined],
  ['2024-04-31T00:00:00Z', undefined],
  ['2024-13-01T00:00:00Z', undefined],
  ['2024-00-01T00:00:00Z', undefined],
  ['2024-01-00T00:00:00Z', undefined],
  ['2024-01-01T24:00:00Z', undefined],
  ['2024-01-01T00:60:00Z', undefined],
  ['2024-01-01T00:00:61Z', undefined],
  ['2024-01-01T00:00:00+24:00', undefined],
  ['2024-01-01T00:00:00+00:60', undefined],
  ['2024-01-01T00:00:00.Z', undefined],
  ['2024-01-01T00:00:00+0100', undefined],
  [' 2024-01-01T00:00:00Z', undefined],
  ['2024-01-01T00:00:00Z\n', undefined],
  [`2024-01-01T00:00:00.${'1'.repeat(100)}Z`, undefined],
  ['', undefined],
];

for (const [text, instant] of table) {
  test(`${JSON.stringify(text).slice(0, 60)} is ${instant ?? 'no instant'}`, () => assert.equal(parseInstant(text), instant));
}

test('digits below the millisecond order instants', () => {
  const early = parseInstant('2024-01-01T00:00:00.000001Z')!;
  const late = parseInstant('2024-01-01T00:00:00.000002Z')!;
  assert.ok(early < late && late < early + 1);
});
