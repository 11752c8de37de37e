import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joined } from './course.ts';

test('rounds are one series; what one of them could not see, the series has not seen', () => {
  const round = (cpuMicros: number | undefined): Parameters<typeof joined>[0][number] => ({ answers: [[1], [2]], latenciesMs: Float64Array.of(1, 2), seconds: 0.5, cpuMicros });
  assert.deepEqual(joined([round(10_000), round(20_000)]), { answers: [[1], [2], [1], [2]], latenciesMs: Float64Array.of(1, 2, 1, 2), seconds: 1, cpuMicros: 30_000 });
  assert.equal(joined([round(10_000), round(undefined)]).cpuMicros, undefined);
});
