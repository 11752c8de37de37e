/**
 * JSON as proto3 maps it, for requests: lowerCamelCase names with snake_case accepted, null for absent, numbers also as
 * strings, "NaN" and "Infinity" for floats. Unknown fields and wrong types are refused.
 */

import { object, vector, wrongType, type Fields, type JsonType, type Place } from '../json-decoder.ts';

const habits = { nullIsAbsent: true, alias: (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) };

export function message<T extends object>(fields: Fields<T>): JsonType<T> {
  return object(fields, habits);
}

export const int32: JsonType<number> = integer(-(2 ** 31), 2 ** 31 - 1, 'int32');
export const uint32: JsonType<number> = integer(0, 2 ** 32 - 1, 'uint32');

function integer(min: number, max: number, format: string): JsonType<number> {
  return {
    schema: { type: 'integer', format, minimum: min, maximum: max },
    definitions: {},
    read(value, at) {
      const read = typeof value === 'string' && /^-?\d{1,10}$/.test(value) ? Number(value) : value;
      if (!Number.isInteger(read) || (read as number) < min || (read as number) > max) throw wrongType(at, `an integer from ${min} to ${max}`);
      return read as number;
    },
  };
}

/** A list of floats. That they are finite is checked where vectors are. */
export const floats: JsonType<number[]> = {
  schema: { type: 'array', items: { type: 'number', format: 'float' } },
  definitions: {},
  read(value, at) {
    const allNumbers = Array.isArray(value) && value.every((component) => typeof component === 'number');
    return allNumbers || !Array.isArray(value) ? vector.read(value, at) : value.map((component, index) => float(component, { parent: at, key: index }));
  },
};

function float(value: unknown, at: Place): number {
  if (typeof value === 'number') return value;
  if (value === 'NaN' || value === 'Infinity' || value === '-Infinity') return Number(value);
  if (typeof value === 'string' && /^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(value)) return Number(value);
  throw wrongType(at, 'a number');
}
