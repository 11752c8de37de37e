/**
 * Strict readers of JSON requests, for all dialects. A `JsonType` reads one kind of value and knows its JSON schema, so
 * that what is accepted and what is documented have one source. Whatever does not fit is refused by name:
 * UNKNOWN_FIELD for a field that is not known, INVALID_ARGUMENT for the rest, with the field's path and what it takes.
 */

import assert from 'node:assert/strict';
import { ShoalError } from '../kernel/errors.ts';
import type { JsonSchema } from './dialect.ts';

export interface JsonType<T> {
  readonly schema: JsonSchema;
  /** Named schemas that `schema` refers to. */
  readonly definitions: Definitions;
  read(value: unknown, at: Place): T;
}

export type Definitions = Readonly<Record<string, JsonSchema>>;

/** Where a value stands in the request; made into text only for an error. */
export type Place = { readonly parent: Place | undefined; readonly key: string | number } | undefined;

/** A field of an object: its type, and what stands for it when it is absent. */
export type Field<T> =
  | { readonly type: JsonType<T>; readonly required: true }
  | { readonly type: JsonType<Exclude<T, undefined>>; readonly required: false; readonly absent: () => T };

export type Fields<T> = { readonly [Name in keyof T]-?: Field<T[Name]> };

/** Reads a whole body, or the text `field` when the value is not the body itself. */
export function readJson<T>(type: JsonType<T>, value: unknown, field?: string): T {
  return type.read(value, field === undefined ? undefined : { parent: undefined, key: field });
}

export function required<T>(type: JsonType<T>): Field<T> {
  return { type, required: true };
}

/** Absent: undefined, or what `absent` makes. */
export function optional<T>(type: JsonType<T>): Field<T | undefined>;
export function optional<T>(type: JsonType<T>, absent: () => T): Field<T>;
export function optional<T>(type: JsonType<T>, absent?: () => T): Field<T | undefined> {
  return { type: type as JsonType<Exclude<T, undefined>>, required: false, absent: absent ?? (() => undefined) };
}

// -------------------------------------------------------------------- scalars

export const text: JsonType<string> = scalar({ type: 'string' }, 'a string', (value) => typeof value === 'string');
export const flag: JsonType<boolean> = scalar({ type: 'boolean' }, 'true or false', (value) => typeof value === 'boolean');
/** JSON has no NaN, but 1e999 reads as infinity; what a number may be is for the caller to say. */
export const number: JsonType<number> = scalar({ type: 'number' }, 'a number', (value) => typeof value === 'number');

export function integer(min: number, max: number): JsonType<number> {
  return scalar({ type: 'integer', minimum: min, maximum: max }, `an integer from ${min} to ${max}`, (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max);
}

export const uint32: JsonType<number> = integer(0, 2 ** 32 - 1);

/** Whole numbers that JSON carries exactly, as the bigint of a protobuf message. */
export const uint64: JsonType<bigint> = {
  ...integer(0, Number.MAX_SAFE_INTEGER),
  read: (value, at) => BigInt(integer(0, Number.MAX_SAFE_INTEGER).read(value, at)),
};

export function words<Word extends string>(...known: readonly Word[]): JsonType<Word> {
  return scalar({ type: 'string', enum: known }, `one of ${known.join(', ')}`, (value) => (known as readonly unknown[]).includes(value));
}

/** Base64, standard or URL-safe, with or without padding. */
export const bytes: JsonType<Uint8Array> = {
  schema: { type: 'string', format: 'byte' },
  definitions: {},
  read(value, at) {
    if (typeof value !== 'string' || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) throw wrongType(at, 'a string in base64');
    return Buffer.from(value, 'base64');
  },
};

/** Any JSON object, kept as it is: payloads and filters, whose own checks come later. */
export const anyObject: JsonType<Record<string, unknown>> = scalar({ type: 'object', additionalProperties: true }, 'a JSON object', isObject);

function scalar<T>(schema: JsonSchema, expected: string, accepts: (value: unknown) => boolean): JsonType<T> {
  return {
    schema,
    definitions: {},
    read(value, at) {
      if (!accepts(value)) throw wrongType(at, expected);
      return value as T;
    },
  };
}

// ----------------------------------------------------------------- containers

export function list<T>(item: JsonType<T>): JsonType<T[]> {
  return {
    schema: { type: 'array', items: item.schema },
    definitions: item.definitions,
    read(value, at) {
      if (!Array.isArray(value)) throw wrongType(at, 'an array');
      return value.map((entry, index) => item.read(entry, { parent: at, key: index }));
    },
  };
}

/** The same as `list(number)`, without a place made for each of its many items. */
export const vector: JsonType<number[]> = {
  schema: { type: 'array', items: { type: 'number' } },
  definitions: {},
  read(value, at) {
    if (!Array.isArray(value)) throw wrongType(at, 'an array of numbers');
    const position = value.findIndex((component) => typeof component !== 'number');
    if (position >= 0) throw wrongType({ parent: at, key: position }, 'a number');
    return value as number[];
  },
};

export function mapOf<T>(item: JsonType<T>): JsonType<Map<string, T>> {
  return {
    schema: { type: 'object', additionalProperties: item.schema },
    definitions: item.definitions,
    read(value, at) {
      if (!isObject(value)) throw wrongType(at, 'a JSON object');
      return new Map(Object.entries(value).map(([key, entry]) => [key, item.read(entry, { parent: at, key })]));
    },
  };
}

/** Other habits of reading objects than the strict ones. */
export interface ObjectHabits {
  /** `null` stands for an absent field, as in the JSON form of proto3. */
  readonly nullIsAbsent?: boolean;
  /** Fields are also known by these names. */
  readonly alias?: (name: string) => string;
}

export function object<T extends object>(fields: Fields<T>, habits: ObjectHabits = {}): JsonType<T> {
  const entries = Object.entries(fields) as [string, Field<unknown>][];
  const names = new Map(entries.map(([name]) => [name, name]));
  if (habits.alias !== undefined) for (const [name] of entries) names.set(habits.alias(name), name);
  const requiredNames = entries.filter(([, field]) => field.required).map(([name]) => name);
  return {
    schema: {
      type: 'object',
      properties: Object.fromEntries(entries.map(([name, field]) => [name, field.type.schema])),
      ...(requiredNames.length === 0 ? {} : { required: requiredNames }),
      additionalProperties: false,
    },
    definitions: Object.assign({}, ...entries.map(([, field]) => field.type.definitions)) as Definitions,
    read(value, at) {
      if (!isObject(value)) throw wrongType(at, 'a JSON object');
      const given = new Map<string, unknown>();
      for (const key of Object.keys(value)) {
        const name = names.get(key);
        if (name === undefined) throw unknownField({ parent: at, key }, [...new Set(names.values())]);
        if (value[key] === null && habits.nullIsAbsent === true) continue;
        if (given.has(name)) throw invalid({ parent: at, key }, `is given twice, as ${name} and under another spelling`);
        given.set(name, value[key]);
      }
      return Object.fromEntries(entries.map(([name, field]) => [name, readField(field, name, given, at)])) as T;
    },
  };
}

function readField(field: Field<unknown>, name: string, given: ReadonlyMap<string, unknown>, at: Place): unknown {
  if (given.has(name)) return field.type.read(given.get(name), { parent: at, key: name });
  if (field.required) throw invalid({ parent: at, key: name }, 'is required');
  return field.absent();
}

/** Exactly one field of several, as the union that ts-proto makes of a oneof. */
export function oneOf<T extends { $case: string }>(cases: Readonly<Record<T['$case'], JsonType<unknown>>>): JsonType<T> {
  const entries = Object.entries(cases) as [string, JsonType<unknown>][];
  const names = entries.map(([name]) => name);
  return {
    schema: { oneOf: entries.map(([name, type]) => ({ type: 'object', properties: { [name]: type.schema }, required: [name], additionalProperties: false })) },
    definitions: Object.assign({}, ...entries.map(([, type]) => type.definitions)) as Definitions,
    read(value, at) {
      if (!isObject(value)) throw wrongType(at, 'a JSON object');
      const given = Object.keys(value);
      const unknown = given.find((key) => !names.includes(key));
      if (unknown !== undefined) throw unknownField({ parent: at, key: unknown }, names);
      const [name] = given;
      if (name === undefined || given.length > 1) throw invalid(at, `must have exactly one of ${names.join(', ')}`);
      return { $case: name, [name]: cases[name as T['$case']].read(value[name], { parent: at, key: name }) } as unknown as T;
    },
  };
}

/** The type under a name of its own in the documentation. */
export function named<T>(name: string, type: JsonType<T>): JsonType<T> {
  return { schema: { $ref: `#/components/schemas/${name}` }, definitions: { ...type.definitions, [name]: type.schema }, read: (value, at) => type.read(value, at) };
}

/** All definitions together. Two schemas of one name are a mistake in the program. */
export function mergedDefinitions(parts: readonly Definitions[]): Definitions {
  const merged: Record<string, JsonSchema> = {};
  for (const [name, schema] of parts.flatMap((part) => Object.entries(part))) {
    assert.deepEqual(merged[name] ?? schema, schema, `two schemas are named ${name}`);
    merged[name] = schema;
  }
  return merged;
}

/** The type, then `turn`, which may refuse by throwing. */
export function turned<From, To>(type: JsonType<From>, turn: (value: From, at: Place) => To): JsonType<To> {
  return { schema: type.schema, definitions: type.definitions, read: (value, at) => turn(type.read(value, at), at) };
}

// --------------------------------------------------------------------- errors

/** INVALID_ARGUMENT: the field's path, then `fault` ("must be …", "is required"). */
export function invalid(at: Place, fault: string): ShoalError {
  const field = placeText(at);
  return new ShoalError('INVALID_ARGUMENT', `${field} ${fault}`, { details: { field } });
}

export function wrongType(at: Place, expected: string): ShoalError {
  return invalid(at, `must be ${expected}`);
}

function unknownField(at: Place, known: readonly string[]): ShoalError {
  const field = placeText(at);
  return new ShoalError('UNKNOWN_FIELD', `${field} is not known here; known are ${known.join(', ') || 'none'}`, { details: { field } });
}

/** `points[3].vector`; names of strangers are cut. */
export function placeText(at: Place): string {
  if (at === undefined) return 'the body';
  const parts: (string | number)[] = [];
  for (let place: Place = at; place !== undefined; place = place.parent) parts.unshift(place.key);
  return parts.map((key, position) => (typeof key === 'number' ? `[${key}]` : `${position === 0 ? '' : '.'}${key.slice(0, 64)}`)).join('');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
