/**
 * What a filter means, on a payload as it is. Payload indexes answer faster and must answer the same.
 *
 *  - A condition is true when it is true of any value at its field (see field-path.ts); of a missing field it is false.
 *  - Equality is typed: "1" is not 1, true is not 1. Strings are equal letter by letter, also those that write instants.
 *    null equals null, and only where the payload has it; objects and arrays equal nothing.
 *  - A range with numbers holds for numbers; one with RFC 3339 bounds for strings that are RFC 3339 instants.
 *  - `exists` is true of whatever is there: null, {} and [] too.
 *  - `and` of nothing is true, `or` of nothing is false.
 */

import assert from 'node:assert/strict';
import { fieldPath, someValueAt } from './field-path.ts';
import type { Filter, RangeFilter } from './filter.ts';
import { parseInstant } from './instant.ts';
import type { Payload, PayloadValue } from './point.ts';

export type PayloadMatcher = (payload: Payload) => boolean;

export function compileFilter(filter: Filter): PayloadMatcher {
  switch (filter.kind) {
    case 'and': {
      const matchers = filter.filters.map(compileFilter);
      return (payload) => matchers.every((matches) => matches(payload));
    }
    case 'or': {
      const matchers = filter.filters.map(compileFilter);
      return (payload) => matchers.some((matches) => matches(payload));
    }
    case 'not': {
      const matches = compileFilter(filter.filter);
      return (payload) => !matches(payload);
    }
    case 'equals':
      return compileField(filter.field, (value) => value === filter.value);
    case 'in': {
      const values = new Set<PayloadValue>(filter.values);
      return compileField(filter.field, (value) => values.has(value));
    }
    case 'range':
      return compileField(filter.field, compileRange(filter));
    case 'exists':
      return compileField(filter.field, () => true);
  }
}

/** The bounds of a range as numbers: as given, or the instants that they write. */
export interface RangeBounds {
  readonly kind: 'numbers' | 'instants';
  /** Infinite where the range is open. */
  readonly low: number;
  readonly lowIncluded: boolean;
  readonly high: number;
  readonly highIncluded: boolean;
}

/** The tighter bound counts where both an open and a closed one are given. */
export function rangeBounds(range: RangeFilter): RangeBounds {
  const given = [range.gt, range.gte, range.lt, range.lte].filter((bound) => bound !== undefined);
  assert(given.length > 0 && new Set(given.map((bound) => typeof bound)).size === 1, 'the bounds of a range are of one type');
  const number = (bound: number | string | undefined, open: number): number => {
    const value = bound === undefined ? open : typeof bound === 'number' ? bound : parseInstant(bound);
    assert(value !== undefined && !Number.isNaN(value), 'a bound is a number or an RFC 3339 instant');
    return value;
  };
  const gt = number(range.gt, -Infinity);
  const gte = number(range.gte, -Infinity);
  const lt = number(range.lt, Infinity);
  const lte = number(range.lte, Infinity);
  return {
    kind: typeof given[0] === 'number' ? 'numbers' : 'instants',
    low: Math.max(gt, gte),
    lowIncluded: range.gt === undefined || gte > gt,
    high: Math.min(lt, lte),
    highIncluded: range.lt === undefined || lte < lt,
  };
}

function compileField(field: string, test: (value: PayloadValue) => boolean): PayloadMatcher {
  const path = fieldPath(field);
  return (payload) => someValueAt(payload, path, test);
}

function compileRange(range: RangeFilter): (value: PayloadValue) => boolean {
  const { kind, low, lowIncluded, high, highIncluded } = rangeBounds(range);
  const holds = (value: number): boolean =>
    (lowIncluded ? value >= low : value > low) && (highIncluded ? value <= high : value < high);
  if (kind === 'numbers') return (value) => typeof value === 'number' && holds(value);
  return (value) => {
    const instant = typeof value === 'string' ? parseInstant(value) : undefined;
    return instant !== undefined && holds(instant);
  };
}

