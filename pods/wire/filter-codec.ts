/** Filters in their core form, to and from `shoal.shard.v1.Filter`. */

import type * as Wire from '../../proto/gen/shoal/shard/v1/filter.ts';
import type { Filter, FilterValue, RangeFilter } from '../domain/filter.ts';
import { malformed, required } from './malformed.ts';

export function encodeFilter(filter: Filter): Wire.Filter {
  switch (filter.kind) {
    case 'and':
      return { kind: { $case: 'and', and: { filters: filter.filters.map(encodeFilter) } } };
    case 'or':
      return { kind: { $case: 'or', or: { filters: filter.filters.map(encodeFilter) } } };
    case 'not':
      return { kind: { $case: 'not', not: encodeFilter(filter.filter) } };
    case 'equals':
      return { kind: { $case: 'equals', equals: { field: filter.field, value: encodeValue(filter.value) } } };
    case 'in':
      return { kind: { $case: 'in', in: { field: filter.field, values: filter.values.map(encodeValue) } } };
    case 'range':
      return { kind: { $case: 'range', range: { field: filter.field, gt: encodeBound(filter.gt), gte: encodeBound(filter.gte), lt: encodeBound(filter.lt), lte: encodeBound(filter.lte) } } };
    case 'exists':
      return { kind: { $case: 'exists', exists: { field: filter.field } } };
  }
}

/** The depth is bounded by the generated decoder, which refuses messages in one another beyond a hundred. */
export function decodeFilter(message: Wire.Filter): Filter {
  const kind = required(message.kind, 'kind of a filter');
  switch (kind.$case) {
    case 'and':
      return { kind: 'and', filters: kind.and.filters.map(decodeFilter) };
    case 'or':
      return { kind: 'or', filters: kind.or.filters.map(decodeFilter) };
    case 'not':
      return { kind: 'not', filter: decodeFilter(kind.not) };
    case 'equals':
      return { kind: 'equals', field: kind.equals.field, value: decodeValue(kind.equals.value) };
    case 'in':
      return { kind: 'in', field: kind.in.field, values: kind.in.values.map(decodeValue) };
    case 'range':
      return decodeRange(kind.range);
    case 'exists':
      return { kind: 'exists', field: kind.exists.field };
  }
}

export function encodeOptionalFilter(filter: Filter | undefined): Wire.Filter | undefined {
  return filter === undefined ? undefined : encodeFilter(filter);
}

export function decodeOptionalFilter(message: Wire.Filter | undefined): Filter | undefined {
  return message === undefined ? undefined : decodeFilter(message);
}

function encodeValue(value: FilterValue): Wire.FilterValue {
  switch (typeof value) {
    case 'string':
      return { value: { $case: 'text', text: value } };
    case 'number':
      return { value: { $case: 'number', number: value } };
    case 'boolean':
      return { value: { $case: 'flag', flag: value } };
    default:
      return { value: { $case: 'null', null: true } };
  }
}

function encodeBound(bound: number | string | undefined): Wire.FilterValue | undefined {
  return bound === undefined ? undefined : encodeValue(bound);
}

function decodeValue(message: Wire.FilterValue | undefined): FilterValue {
  const value = required(required(message, 'value of a filter').value, 'value of a filter');
  switch (value.$case) {
    case 'text':
      return value.text;
    case 'number':
      return value.number;
    case 'flag':
      return value.flag;
    case 'null':
      return null;
  }
}

function decodeRange({ field, gt, gte, lt, lte }: Wire.RangeFilter): RangeFilter {
  return {
    kind: 'range',
    field,
    ...(gt === undefined ? {} : { gt: decodeBound(gt) }),
    ...(gte === undefined ? {} : { gte: decodeBound(gte) }),
    ...(lt === undefined ? {} : { lt: decodeBound(lt) }),
    ...(lte === undefined ? {} : { lte: decodeBound(lte) }),
  };
}

function decodeBound(message: Wire.FilterValue): number | string {
  const bound = decodeValue(message);
  if (typeof bound === 'string' || typeof bound === 'number') return bound;
  throw malformed('a bound is neither a number nor a text');
}
