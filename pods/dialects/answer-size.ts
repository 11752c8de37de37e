/**
 * How large an answer will be, before it is encoded: a client that asks for 10,000 vectors gets an error at once, and the
 * event loop does not serialise for nothing. An estimate (gRPC answers are measured exactly when they are bytes), made
 * so that it does not refuse what would fit.
 */

import type { PayloadValue, PointView } from '../domain/point.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';

export type WireForm = 'protobuf' | 'json' | 'json-packed';

/** A component of a vector; in JSON a number has up to 20 characters, seldom fewer than 8. */
const bytesPerComponent: Readonly<Record<WireForm, number>> = { protobuf: 4, json: 8, 'json-packed': 16 / 3 };

/** RESPONSE_TOO_LARGE when the points will not fit; `advice` names the fields that make the answer smaller. */
export function checkAnswerSize(points: readonly PointView[], form: WireForm, advice: string, bytesMax: number = limits.responseBytesMax): void {
  let size = 0;
  for (const { id, vector, payload, text } of points) {
    size += id.length + (vector?.length ?? 0) * bytesPerComponent[form] + (text?.length ?? 0);
    if (payload !== undefined) size += valueSize(payload, bytesMax - size);
    if (size > bytesMax) {
      throw new ShoalError('RESPONSE_TOO_LARGE', `the answer would be larger than ${bytesMax} bytes; ${advice}`, { details: { limit: bytesMax } });
    }
  }
}

/** Characters count as one byte each and punctuation as none; stops above `enough`. */
function valueSize(value: PayloadValue, enough: number): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 1;
  let size = 0;
  for (const [key, item] of Object.entries(value)) {
    size += (Array.isArray(value) ? 0 : key.length) + valueSize(item as PayloadValue, enough - size);
    if (size > enough) break;
  }
  return size;
}
