/** Points and their payloads, and the checks that every door applies to them before any work is done. */

import { limits } from '../kernel/limits.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { Metric } from './metric.ts';
import { bytesOfVector, type VectorBytes } from './vector-bytes.ts';

/** A JSON value with a finite number. */
export type PayloadValue = string | number | boolean | null | readonly PayloadValue[] | { readonly [key: string]: PayloadValue };
export type Payload = { readonly [key: string]: PayloadValue };

export interface Point {
  readonly id: string;
  /** `dimension` components, as they were given (cosine normalises inside the index only). */
  readonly vector: Float32Array;
  readonly payload: Payload;
  readonly text?: string;
  /** Grows with every change of the point; never repeats, not even after a deletion. */
  readonly version: number;
}

/** A point with the parts that were asked for. */
export type PointView = Pick<Point, 'id' | 'version'> & Partial<Pick<Point, 'vector' | 'payload' | 'text'>>;

export interface PointParts {
  readonly includeVector: boolean;
  readonly includePayload: boolean;
}

export function utf8Length(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}

/** INVALID_ID unless the id has 1 to `limits.pointIdBytesMax` bytes of valid Unicode without U+0000. */
export function checkPointId(id: unknown, field = 'id'): asserts id is string {
  if (typeof id !== 'string') throw new ShoalError('INVALID_ID', `${field} must be a string`, { details: { field } });
  const bytes = utf8Length(id);
  if (bytes === 0) throw new ShoalError('INVALID_ID', `${field} must not be empty`, { details: { field } });
  if (bytes > limits.pointIdBytesMax) {
    throw new ShoalError('INVALID_ID', `${field} has ${bytes} bytes; the limit is ${limits.pointIdBytesMax}`, {
      details: { field, limit: limits.pointIdBytesMax, found: bytes },
    });
  }
  if (!id.isWellFormed() || id.includes('\0')) {
    throw new ShoalError('INVALID_ID', `${field} must be valid Unicode without U+0000`, { details: { field } });
  }
}

/** DIMENSION_MISMATCH, VECTOR_EMPTY, VECTOR_NOT_FINITE or VECTOR_ZERO unless the vector fits the collection. */
export function checkVector(given: Float32Array | VectorBytes, dimension: number, metric: Metric, field = 'vector'): void {
  const length = given.byteLength / 4;
  if (length === 0) {
    throw new ShoalError('VECTOR_EMPTY', `${field} is empty; the collection's dimension is ${dimension}`, {
      details: { field, limit: dimension },
    });
  }
  if (length !== dimension) {
    throw new ShoalError('DIMENSION_MISMATCH', `${field} has ${length} components; the collection's dimension is ${dimension}`, {
      details: { field, limit: dimension, found: length },
    });
  }
  const vector = given instanceof Float32Array ? given : aligned(given);
  let squares = 0;
  for (let i = 0; i < length; i++) squares += vector[i]! * vector[i]!;
  if (!Number.isFinite(squares)) {
    const position = vector.subarray(0, length).findIndex((component) => !Number.isFinite(component));
    throw new ShoalError('VECTOR_NOT_FINITE', `${field}[${position}] is not a finite 32-bit number`, { details: { field, position } });
  }
  if (squares === 0 && metric === 'cosine') {
    throw new ShoalError('VECTOR_ZERO', `${field} is zero, which has no direction under the cosine metric`, { details: { field } });
  }
}

let scratch = new Float32Array(0);
let scratchBytes = bytesOfVector(scratch);

/** To be looked at before the next call: floats cannot be read where they are not aligned. */
function aligned(bytes: VectorBytes): Float32Array {
  if (scratchBytes.length < bytes.length) {
    scratch = new Float32Array(bytes.length / 4);
    scratchBytes = bytesOfVector(scratch);
  }
  scratchBytes.set(bytes);
  return scratch;
}

/**
 * PAYLOAD_TOO_DEEP, PAYLOAD_TOO_LARGE or INVALID_ARGUMENT unless the payload is a JSON object within the limits.
 * Returns its JSON text in UTF-8, which is also its stored form.
 */
export function encodePayload(payload: unknown, field = 'payload'): Uint8Array {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    throw new ShoalError('INVALID_ARGUMENT', `${field} must be a JSON object`, { details: { field } });
  }
  checkPayloadValue(payload, field, 1);
  // Of the shared pool: a buffer of its own for each payload costs the garbage collector more than making it.
  const bytes = Buffer.from(JSON.stringify(payload));
  if (bytes.length > limits.payloadBytesMax) {
    throw new ShoalError('PAYLOAD_TOO_LARGE', `${field} has ${bytes.length} bytes of JSON; the limit is ${limits.payloadBytesMax}`, {
      details: { field, limit: limits.payloadBytesMax, found: bytes.length },
    });
  }
  return bytes;
}

function checkPayloadValue(value: unknown, path: string, depth: number): void {
  if (depth > limits.payloadDepthMax) {
    throw new ShoalError('PAYLOAD_TOO_DEEP', `${path} is nested more than ${limits.payloadDepthMax} deep`, {
      details: { field: path.slice(0, 200), limit: limits.payloadDepthMax },
    });
  }
  if (value === null || typeof value === 'boolean') return;
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new ShoalError('INVALID_ARGUMENT', `${path} is not valid Unicode`, { details: { field: path } });
    return;
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new ShoalError('INVALID_ARGUMENT', `${path} is not a finite number`, { details: { field: path } });
    return;
  }
  if (typeof value === 'object') {
    if (Array.isArray(value)) value.forEach((item, index) => checkPayloadValue(item, `${path}[${index}]`, depth + 1));
    else for (const key of Object.keys(value)) checkPayloadMember(key, (value as Record<string, unknown>)[key], path, depth);
    return;
  }
  throw new ShoalError('INVALID_ARGUMENT', `${path} has a type that JSON does not know`, { details: { field: path } });
}

/** A key that many JSON readers drop, or take for the prototype of the object that they build, is refused rather than lost. */
function checkPayloadMember(key: string, item: unknown, path: string, depth: number): void {
  const at = `${path}.${key}`;
  if (key === '__proto__') throw new ShoalError('INVALID_ARGUMENT', `${at.slice(0, 200)} is a key that is not allowed`, { details: { field: at.slice(0, 200) } });
  checkPayloadValue(item, at, depth + 1);
}

export function checkText(text: unknown, field = 'text'): asserts text is string {
  if (typeof text !== 'string') throw new ShoalError('INVALID_ARGUMENT', `${field} must be a string`, { details: { field } });
  const bytes = utf8Length(text);
  if (bytes > limits.textBytesMax) {
    throw new ShoalError('INVALID_ARGUMENT', `${field} has ${bytes} bytes; the limit is ${limits.textBytesMax}`, {
      details: { field, limit: limits.textBytesMax, found: bytes },
    });
  }
}
