import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { decodeFilter, encodeFilter } from './filter-json.ts';
import type { Filter } from './filter.ts';

const leaf = { field: 'a', equals: 1 };
const nested = (depth: number): unknown => (depth === 1 ? leaf : { not: nested(depth - 1) });
const leaves = (count: number): unknown => ({ and: Array<unknown>(count).fill(leaf) });

describe('what is decoded', () => {
  const table: readonly [json: unknown, filter: Filter][] = [
    [{ field: 'a.b', equals: 'x' }, { kind: 'equals', field: 'a.b', value: 'x' }],
    [{ field: 'a', equals: null }, { kind: 'equals', field: 'a', value: null }],
    [{ field: 'a', in: ['x', 1, true, null] }, { kind: 'in', field: 'a', values: ['x', 1, true, null] }],
    [{ field: 'n', gte: 1, lt: 5 }, { kind: 'range', field: 'n', gte: 1, lt: 5 }],
    [{ lte: '2024-01-01T00:00:00Z', field: 't' }, { kind: 'range', field: 't', lte: '2024-01-01T00:00:00Z' }],
    [{ field: 'x', exists: true }, { kind: 'exists', field: 'x' }],
    [{ field: 'x', exists: false }, { kind: 'not', filter: { kind: 'exists', field: 'x' } }],
    [{ and: [] }, { kind: 'and', filters: [] }],
    [
      { or: [{ not: { field: 'a', equals: false } }, { and: [leaf] }] },
      {
        kind: 'or',
        filters: [
          { kind: 'not', filter: { kind: 'equals', field: 'a', value: false } },
          { kind: 'and', filters: [{ kind: 'equals', field: 'a', value: 1 }] },
        ],
      },
    ],
  ];
  for (const [json, filter] of table) test(JSON.stringify(json), () => assert.deepEqual(decodeFilter(json), filter));

  test('everything at its limit', () => {
    decodeFilter(nested(limits.filterDepthMax));
    decodeFilter(leaves(limits.filterConditionCountMax));
    decodeFilter({ field: 'a', in: Array(limits.filterInValuesMax).fill('x') });
    decodeFilter({ field: 'a'.repeat(limits.fieldNameBytesMax), exists: true });
  });
});

describe('what is refused', () => {
  const many = limits.filterConditionCountMax + 1;
  const table: readonly [name: string, json: unknown, field: string][] = [
    ['text', 'a = 1', 'filter'],
    ['null', null, 'filter'],
    ['a list', [leaf], 'filter'],
    ['nothing', {}, 'filter'],
    ['an unknown key', { nand: [leaf] }, 'filter'],
    ['an unknown key beside', { and: [leaf], boost: 2 }, 'filter.boost'],
    ['two connectives', { and: [leaf], or: [leaf] }, 'filter.or'],
    ['a connective beside a condition', { not: leaf, field: 'a', equals: 1 }, 'filter.field'],
    ['a connective of one', { and: leaf }, 'filter.and'],
    ['no filter within not', { not: null }, 'filter.not'],
    ['a fault deep inside', { and: [leaf, { or: [{ not: { field: 'a', equals: {} } }] }] }, 'filter.and[1].or[0].not.equals'],
    ['no operator', { field: 'a' }, 'filter'],
    ['an unknown operator', { field: 'a', like: 'x%' }, 'filter.like'],
    ['an unknown operator beside', { field: 'a', equals: 1, like: 'x%' }, 'filter.like'],
    ['two operators', { field: 'a', equals: 1, gt: 0 }, 'filter.gt'],
    ['two operators, the range first', { field: 'a', gt: 0, in: [1] }, 'filter.in'],
    ['a field that is a number', { field: 1, equals: 1 }, 'filter.field'],
    ['an empty field', { field: '', equals: 1 }, 'filter.field'],
    ['a long field', { field: 'é'.repeat(128), equals: 1 }, 'filter.field'],
    ['equality with an array', { field: 'a', equals: [1] }, 'filter.equals'],
    ['equality with undefined', { field: 'a', equals: undefined }, 'filter.equals'],
    ['equality with NaN', { field: 'a', equals: NaN }, 'filter.equals'],
    ['in without a list', { field: 'a', in: 'x' }, 'filter.in'],
    ['in with an object', { field: 'a', in: [1, {}] }, 'filter.in[1]'],
    ['in with too many', { field: 'a', in: Array(limits.filterInValuesMax + 1).fill(1) }, 'filter.in'],
    ['exists with text', { field: 'a', exists: 'yes' }, 'filter.exists'],
    ['a bound that is no instant', { field: 'a', gt: 'yesterday' }, 'filter.gt'],
    ['an infinite bound', { field: 'a', lt: Infinity }, 'filter.lt'],
    ['a boolean bound', { field: 'a', lt: true }, 'filter.lt'],
    ['a null bound', { field: 'a', gte: null }, 'filter.gte'],
    ['bounds of two types', { field: 'a', gt: 1, lt: '2024-01-01T00:00:00Z' }, 'filter.lt'],
    ['too deep', nested(limits.filterDepthMax + 1), `filter${'.not'.repeat(limits.filterDepthMax)}`],
    ['far too deep', nested(1_000), `filter${'.not'.repeat(limits.filterDepthMax)}`],
    ['too many conditions', leaves(many), 'filter'],
    ['too many empty connectives', { or: Array(many).fill({ and: [] }) }, 'filter'],
    ['too many conditions in branches', { or: [leaves(many - 1), leaves(1)] }, 'filter'],
  ];
  for (const [name, json, field] of table) {
    test(name, () => {
      assert.throws(
        () => decodeFilter(json),
        (error: unknown) => {
          assert.ok(error instanceof ShoalError);
          assert.deepEqual([error.code, error.details['field']], ['FILTER_INVALID', field]);
          assert.ok(error.message.startsWith(`${field} `), error.message);
          return true;
        },
      );
    });
  }

  test('names the field it was given', () => {
    assert.throws(() => decodeFilter({ and: [1] }, 'condition.if'), { code: 'FILTER_INVALID', message: 'condition.if.and[0] must be an object' });
  });
});

test('encoding and decoding give the filter back', () => {
  const seed = Number(process.env['SHOAL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const value = fc.oneof(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null));
  const field = fc.string({ minLength: 1, maxLength: 20 });
  const bounds = (bound: fc.Arbitrary<number | string>): fc.Arbitrary<object> =>
    fc.record({ gt: bound, gte: bound, lt: bound, lte: bound }, { requiredKeys: [] }).filter((given) => Object.keys(given).length > 0);
  const instant = fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }).map((date) => date.toISOString());
  const filters = fc.letrec<{ filter: Filter }>((tie) => ({
    filter: fc.oneof(
      { maxDepth: 4 },
      fc.record({ kind: fc.constant('equals' as const), field, value }),
      fc.record({ kind: fc.constant('in' as const), field, values: fc.array(value) }),
      fc.record({ kind: fc.constant('exists' as const), field }),
      fc.tuple(field, fc.oneof(bounds(fc.integer()), bounds(instant))).map(([name, given]) => ({ kind: 'range' as const, field: name, ...given })),
      fc.record({ kind: fc.constantFrom('and' as const, 'or' as const), filters: fc.array(tie('filter'), { maxLength: 4 }) }),
      fc.record({ kind: fc.constant('not' as const), filter: tie('filter') }),
    ),
  })).filter;
  fc.assert(
    fc.property(filters, (filter) => {
      const json = JSON.parse(JSON.stringify(encodeFilter(filter))) as unknown;
      // JSON writes -0 as 0.
      assert.deepEqual(decodeFilter(json), JSON.parse(JSON.stringify(filter)));
    }),
    { seed, numRuns: 300 },
  );
});
