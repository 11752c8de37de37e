import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeFilter } from './filter-json.ts';
import { compileFilter } from './filter-match.ts';
import type { Payload } from './point.ts';

type Row = readonly [filter: unknown, payload: Payload, matches: boolean];

const tables: Record<string, readonly Row[]> = {
  equality: [
    [{ field: 'a', equals: 'x' }, { a: 'x' }, true],
    [{ field: 'a', equals: 'x' }, { a: 'X' }, false],
    [{ field: 'a', equals: 1 }, { a: '1' }, false],
    [{ field: 'a', equals: '1' }, { a: 1 }, false],
    [{ field: 'a', equals: 1 }, { a: true }, false],
    [{ field: 'a', equals: 0 }, { a: false }, false],
    [{ field: 'a', equals: 0 }, { a: -0 }, true],
    [{ field: 'a', equals: 0.1 }, { a: 0.1 }, true],
    [{ field: 'a', equals: null }, { a: null }, true],
    [{ field: 'a', equals: null }, {}, false],
    [{ field: 'a', equals: null }, { a: 0 }, false],
    [{ field: 'a', equals: 'x' }, { a: { b: 'x' } }, false],
    // Strings that write one instant in two ways are two strings.
    [{ field: 'a', equals: '2024-01-01T00:00:00Z' }, { a: '2024-01-01T01:00:00+01:00' }, false],
  ],
  'one of': [
    [{ field: 'a', in: ['x', 1, null] }, { a: 1 }, true],
    [{ field: 'a', in: ['x', 1, null] }, { a: null }, true],
    [{ field: 'a', in: ['x', 1, null] }, { a: '1' }, false],
    [{ field: 'a', in: [] }, { a: 1 }, false],
    [{ field: 'a', in: ['x'] }, {}, false],
  ],
  paths: [
    [{ field: 'a.b.c', equals: 1 }, { a: { b: { c: 1 } } }, true],
    [{ field: 'a.b.c', equals: 1 }, { 'a.b.c': 1 }, false],
    [{ field: 'a.b', equals: 1 }, { a: { 'b': { c: 1 } } }, false],
    [{ field: 'a.b', equals: 1 }, { a: 'b' }, false],
    [{ field: 'a.', equals: 1 }, { a: { '': 1 } }, true],
    [{ field: 'constructor', exists: true }, {}, false],
    [{ field: 'a.length', exists: true }, { a: [1, 2] }, false],
    [{ field: 'a.length', exists: true }, { a: 'text' }, false],
    [{ field: '__proto__', exists: true }, JSON.parse('{"a":1}') as Payload, false],
    [{ field: '__proto__', equals: 1 }, JSON.parse('{"__proto__":1}') as Payload, true],
  ],
  arrays: [
    [{ field: 'a', equals: 2 }, { a: [1, 2, 3] }, true],
    [{ field: 'a', equals: 4 }, { a: [1, 2, 3] }, false],
    [{ field: 'a', equals: 3 }, { a: [[1], [[2, 3]]] }, true],
    [{ field: 'a.b', equals: 2 }, { a: [{ b: 1 }, { c: 9 }, { b: [2] }] }, true],
    [{ field: 'a.0', equals: 1 }, { a: [1] }, false],
    [{ field: 'a', equals: null }, { a: [1, null] }, true],
    [{ field: 'a', equals: null }, { a: [] }, false],
    // Any element: one below and one above are two elements, and each bound is asked of the same one.
    [{ field: 'a', gt: 1, lt: 3 }, { a: [0, 4] }, false],
    [{ not: { field: 'a', equals: 1 } }, { a: [1, 2] }, false],
  ],
  ranges: [
    [{ field: 'a', gte: 1, lt: 5 }, { a: 1 }, true],
    [{ field: 'a', gte: 1, lt: 5 }, { a: 5 }, false],
    [{ field: 'a', gt: 1, lte: 5 }, { a: 1 }, false],
    [{ field: 'a', gt: 1, lte: 5 }, { a: 5 }, true],
    [{ field: 'a', gt: 1 }, { a: 1.0000001 }, true],
    [{ field: 'a', lt: -1 }, { a: -2 }, true],
    [{ field: 'a', gt: 1, gte: 1 }, { a: 1 }, false],
    [{ field: 'a', lt: 1, lte: 1 }, { a: 1 }, false],
    [{ field: 'a', gt: 1, gte: 2 }, { a: 2 }, true],
    [{ field: 'a', lte: 1, lt: 3 }, { a: 1 }, true],
    [{ field: 'a', gte: 5, lte: 1 }, { a: 3 }, false],
    [{ field: 'a', gte: 1 }, { a: '7' }, false],
    [{ field: 'a', gte: 0 }, { a: true }, false],
    [{ field: 'a', gte: 0 }, { a: null }, false],
    [{ field: 'a', gte: 0 }, {}, false],
  ],
  instants: [
    [{ field: 'a', gte: '2024-01-01T00:00:00Z' }, { a: '2024-01-01T01:00:00+01:00' }, true],
    [{ field: 'a', gt: '2024-01-01T00:00:00Z' }, { a: '2024-01-01T01:00:00+01:00' }, false],
    [{ field: 'a', lt: '2024-01-01T00:00:00-08:00' }, { a: '2024-01-01T07:59:59.999Z' }, true],
    [{ field: 'a', gte: '2024-01-01T00:00:00Z' }, { a: 'tomorrow' }, false],
    [{ field: 'a', gte: '2024-01-01T00:00:00Z' }, { a: '2025-01-01' }, false],
    [{ field: 'a', gte: '2024-01-01T00:00:00Z' }, { a: 1_900_000_000_000 }, false],
    [{ field: 'a', gte: 0 }, { a: '2024-01-01T00:00:00Z' }, false],
  ],
  existence: [
    [{ field: 'a', exists: true }, { a: null }, true],
    [{ field: 'a', exists: true }, { a: [] }, true],
    [{ field: 'a', exists: true }, { a: {} }, true],
    [{ field: 'a.b', exists: true }, { a: [] }, false],
    [{ field: 'a.b', exists: true }, { a: [{}, { b: 1 }] }, true],
    [{ field: 'a', exists: false }, {}, true],
    [{ field: 'a', exists: false }, { a: null }, false],
  ],
  connectives: [
    [{ and: [] }, {}, true],
    [{ or: [] }, {}, false],
    [{ not: { or: [] } }, {}, true],
    [{ and: [{ field: 'a', equals: 1 }, { field: 'b', equals: 2 }] }, { a: 1, b: 2 }, true],
    [{ and: [{ field: 'a', equals: 1 }, { field: 'b', equals: 2 }] }, { a: 1, b: 3 }, false],
    [{ or: [{ field: 'a', equals: 1 }, { field: 'b', equals: 2 }] }, { a: 9, b: 2 }, true],
    [{ or: [{ field: 'a', equals: 1 }, { field: 'b', equals: 2 }] }, { a: 9 }, false],
    [{ not: { field: 'missing', equals: 1 } }, {}, true],
  ],
};

for (const [name, rows] of Object.entries(tables)) {
  describe(name, () => {
    for (const [filter, payload, matches] of rows) {
      test(`${JSON.stringify(filter)} ${matches ? 'matches' : 'does not match'} ${JSON.stringify(payload)}`, () => {
        assert.equal(compileFilter(decodeFilter(filter))(payload), matches);
      });
    }
  });
}
