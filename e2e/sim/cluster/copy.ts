/**
 * Values on their way from one process to another: the receiver gets bytes of its own, whatever the sender does with its
 * own afterwards. Plain data only: anything else (a function, a signal, an instance of a class) is a defect of the caller.
 */

import assert from 'node:assert/strict';
import { ShoalError } from '../../../pods/kernel/errors.ts';

export function copyOf<T>(value: T): T {
  return copy(value) as T;
}

function copy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) {
    assert(typeof value !== 'function' && typeof value !== 'symbol', `a ${typeof value} cannot be sent`);
    return value;
  }
  if (Array.isArray(value)) {
    const copies = new Array<unknown>(value.length);
    for (let i = 0; i < value.length; i++) copies[i] = copy(value[i]);
    return copies;
  }
  // `slice` of a Buffer shares its bytes.
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (value instanceof Float32Array || value instanceof Uint32Array) return value.slice();
  if (value instanceof Map) return new Map(Array.from(value, ([key, item]) => [copy(key), copy(item)]));
  if (value instanceof Set) return new Set(Array.from(value, copy));
  const prototype = Object.getPrototypeOf(value) as object | null;
  assert(prototype === Object.prototype || prototype === null, `an instance of ${value.constructor?.name ?? 'a class'} cannot be sent`);
  const copies: Record<string, unknown> = {};
  for (const key of Object.keys(value)) copies[key] = copy((value as Record<string, unknown>)[key]);
  return copies;
}

/** An error as the other side gets it: code, message and details; what is not one of ours is INTERNAL. */
export function errorAcross(error: unknown): ShoalError {
  if (error instanceof ShoalError) return new ShoalError(error.code, error.message, { details: error.details });
  return new ShoalError('INTERNAL', `internal error: ${(error as Error)?.message ?? String(error)}`, { cause: error });
}

/** About what it takes on a wire. */
export function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length + 2;
  if (typeof value !== 'object' || value === null) return 8;
  if (ArrayBuffer.isView(value)) return value.byteLength + 4;
  let size = 8;
  if (Array.isArray(value)) for (const item of value) size += sizeOf(item);
  else for (const item of Object.values(value)) size += sizeOf(item);
  return size;
}
