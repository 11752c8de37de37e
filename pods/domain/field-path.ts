/**
 * How a filter's field finds values in a payload. A field is a path of keys joined by dots and leads through nested
 * objects only: a key that itself contains a dot cannot be named. Arrays, on the way or at the end, stand for each of
 * their elements, however deeply arrays lie in arrays; positions are not part of a path.
 *
 *     {"author": [{"name": "Ann"}, {"name": ["Bo", "Cy"]}]}     author.name is "Ann", ["Bo", "Cy"], "Bo" and "Cy"
 */

import type { Payload, PayloadValue } from './point.ts';

export type FieldPath = readonly string[];

export function fieldPath(field: string): FieldPath {
  return field.split('.');
}

/** True as soon as `test` is true of a value at the path; an array is tested as a whole, then by its elements. */
export function someValueAt(payload: Payload, path: FieldPath, test: (value: PayloadValue) => boolean): boolean {
  return someValueFrom(payload, path, 0, test);
}

function someValueFrom(value: PayloadValue, path: FieldPath, depth: number, test: (value: PayloadValue) => boolean): boolean {
  if (depth === path.length && test(value)) return true;
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) {
    for (const element of value as readonly PayloadValue[]) if (someValueFrom(element, path, depth, test)) return true;
    return false;
  }
  const key = path[depth];
  // Only own keys: "constructor" is no field of every payload.
  if (key === undefined || !Object.hasOwn(value, key)) return false;
  return someValueFrom((value as Payload)[key] as PayloadValue, path, depth + 1, test);
}
