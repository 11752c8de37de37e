/**
 * Filters as JSON, the form of `shoal.v1`:
 *
 *     {"and": [F, …]}   {"or": [F, …]}   {"not": F}
 *     {"field": "a.b", "equals": "x"}                 a string, number, boolean or null
 *     {"field": "a.b", "in": ["x", 1, null]}
 *     {"field": "n", "gte": 1, "lt": 5}               gt, gte, lt, lte: all numbers, or all RFC 3339 instants
 *     {"field": "x", "exists": true}                  false: the field is not there
 *
 * Everything else is FILTER_INVALID, with the path of the part that is wrong.
 */

import { ShoalError, type ErrorDetails } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Filter, FilterValue, RangeFilter } from './filter.ts';
import { parseInstant } from './instant.ts';
import { utf8Length } from './point.ts';

type JsonObject = Readonly<Record<string, unknown>>;

const boundNames = ['gt', 'gte', 'lt', 'lte'] as const;
const fieldOperators: readonly string[] = ['equals', 'in', 'exists', ...boundNames];

/** Reads a filter; `field` is where it stands in the request, for messages. */
export function decodeFilter(json: unknown, field = 'filter'): Filter {
  return decodeAt(json, field, 1, { conditionCount: 0, root: field });
}

/** The JSON form; `decodeFilter` of it gives an equal filter. */
export function encodeFilter(filter: Filter): JsonObject {
  switch (filter.kind) {
    case 'and':
      return { and: filter.filters.map(encodeFilter) };
    case 'or':
      return { or: filter.filters.map(encodeFilter) };
    case 'not':
      if (filter.filter.kind === 'exists') return { field: filter.filter.field, exists: false };
      return { not: encodeFilter(filter.filter) };
    case 'equals':
      return { field: filter.field, equals: filter.value };
    case 'in':
      return { field: filter.field, in: [...filter.values] };
    case 'exists':
      return { field: filter.field, exists: true };
    case 'range': {
      const { kind: _, ...bounds } = filter;
      return bounds;
    }
  }
}

interface Progress {
  readonly root: string;
  conditionCount: number;
}

function decodeAt(json: unknown, path: string, depth: number, progress: Progress): Filter {
  if (depth > limits.filterDepthMax) {
    throw invalid(path, `is nested more than ${limits.filterDepthMax} deep`, { limit: limits.filterDepthMax });
  }
  if (!isObject(json)) throw invalid(path, 'must be an object');
  if ('and' in json) return decodeList('and', json, path, depth, progress);
  if ('or' in json) return decodeList('or', json, path, depth, progress);
  if ('not' in json) {
    expectOnly(json, ['not'], path);
    return { kind: 'not', filter: decodeAt(json['not'], `${path}.not`, depth + 1, progress) };
  }
  if ('field' in json) return decodeCondition(json, path, progress);
  throw invalid(path, 'must have one of "and", "or", "not", "field"');
}

function decodeList(kind: 'and' | 'or', json: JsonObject, path: string, depth: number, progress: Progress): Filter {
  expectOnly(json, [kind], path);
  const list = json[kind];
  if (!Array.isArray(list)) throw invalid(`${path}.${kind}`, 'must be an array of filters');
  // An empty list is work too; counting it keeps the size of a filter within its count of conditions times its depth.
  if (list.length === 0) countCondition(progress);
  return { kind, filters: list.map((item, index) => decodeAt(item, `${path}.${kind}[${index}]`, depth + 1, progress)) };
}

function decodeCondition(json: JsonObject, path: string, progress: Progress): Filter {
  countCondition(progress);
  const field = decodeField(json['field'], `${path}.field`);
  const operators = Object.keys(json).filter((key) => key !== 'field');
  const unknown = operators.find((key) => !fieldOperators.includes(key));
  if (unknown !== undefined) throw invalid(`${path}.${unknown}`, 'is not known');
  const operator = operators[0];
  switch (operator) {
    case undefined:
      throw invalid(path, `must have one of ${fieldOperators.join(', ')}`);
    case 'equals':
      expectOnly(json, ['field', 'equals'], path);
      return { kind: 'equals', field, value: decodeValue(json['equals'], `${path}.equals`) };
    case 'in':
      expectOnly(json, ['field', 'in'], path);
      return { kind: 'in', field, values: decodeValues(json['in'], `${path}.in`) };
    case 'exists':
      expectOnly(json, ['field', 'exists'], path);
      return decodeExists(field, json['exists'], `${path}.exists`);
    default:
      expectOnly(json, ['field', ...boundNames], path, operator);
      return decodeRange(field, json, path);
  }
}

function decodeField(json: unknown, path: string): string {
  if (typeof json !== 'string') throw invalid(path, 'must be a string');
  const bytes = utf8Length(json);
  if (bytes === 0) throw invalid(path, 'must not be empty');
  if (bytes > limits.fieldNameBytesMax) {
    throw invalid(path, `has ${bytes} bytes; the limit is ${limits.fieldNameBytesMax}`, { limit: limits.fieldNameBytesMax, found: bytes });
  }
  return json;
}

function decodeValue(json: unknown, path: string): FilterValue {
  if (json === null || typeof json === 'string' || typeof json === 'boolean') return json;
  if (typeof json === 'number' && Number.isFinite(json)) return json;
  throw invalid(path, 'must be a string, a finite number, a boolean or null');
}

function decodeValues(json: unknown, path: string): FilterValue[] {
  if (!Array.isArray(json)) throw invalid(path, 'must be an array of values');
  if (json.length > limits.filterInValuesMax) {
    throw invalid(path, `has ${json.length} values; the limit is ${limits.filterInValuesMax}`, {
      limit: limits.filterInValuesMax,
      found: json.length,
    });
  }
  return json.map((value, index) => decodeValue(value, `${path}[${index}]`));
}

function decodeExists(field: string, json: unknown, path: string): Filter {
  if (typeof json !== 'boolean') throw invalid(path, 'must be true or false');
  const exists: Filter = { kind: 'exists', field };
  return json ? exists : { kind: 'not', filter: exists };
}

function decodeRange(field: string, json: JsonObject, path: string): RangeFilter {
  const bounds: { -readonly [Name in (typeof boundNames)[number]]?: number | string } = {};
  let type: 'number' | 'string' | undefined;
  for (const name of boundNames) {
    if (!(name in json)) continue;
    const bound = json[name];
    const where = `${path}.${name}`;
    if (typeof bound === 'number' ? !Number.isFinite(bound) : typeof bound !== 'string' || parseInstant(bound) === undefined) {
      throw invalid(where, 'must be a finite number or an RFC 3339 date and time such as "2024-05-01T12:00:00Z"');
    }
    const checked = bound as number | string;
    type ??= typeof checked as 'number' | 'string';
    if (typeof checked !== type) throw invalid(where, 'must be of the same type as the other bounds');
    bounds[name] = checked;
  }
  return { kind: 'range', field, ...bounds };
}

function countCondition(progress: Progress): void {
  progress.conditionCount++;
  if (progress.conditionCount > limits.filterConditionCountMax) {
    throw invalid(progress.root, `has more than ${limits.filterConditionCountMax} conditions`, { limit: limits.filterConditionCountMax });
  }
}

function expectOnly(json: JsonObject, allowed: readonly string[], path: string, beside = allowed.at(-1)): void {
  const other = Object.keys(json).find((key) => !allowed.includes(key));
  if (other === undefined) return;
  const known = fieldOperators.includes(other) || ['and', 'or', 'not', 'field'].includes(other);
  throw invalid(`${path}.${other}`, known ? `cannot stand beside "${beside}"` : 'is not known');
}

function isObject(json: unknown): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

function invalid(path: string, problem: string, details: ErrorDetails = {}): ShoalError {
  const field = path.slice(0, 500);
  return new ShoalError('FILTER_INVALID', `${field} ${problem}`, { details: { ...details, field } });
}
