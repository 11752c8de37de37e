/** What the workload writes into points, so that whatever is read can be told apart: one number for the vector, one for the payload. */

import type { PointView } from '../../../pods/domain/point.ts';
import type { Payload } from '../../../pods/domain/point.ts';
import type { Seen } from '../../checker/history.ts';

export const dimension = 3;
/** What nobody wrote. */
const unknown = -1;

/** Whole numbers below 2^24 are exact in 32-bit floats. */
export function vectorOf(number: number): Float32Array {
  return Float32Array.of(number, number % 97, number % 31);
}

export function payloadOf(number: number): Payload {
  return { number, word: wordOf(number) };
}

export function seenIn(point: PointView): Seen {
  return { version: point.version, vector: vectorNumber(point.vector), payload: payloadNumber(point.payload) };
}

function vectorNumber(vector: Float32Array | undefined): number {
  const number = vector?.[0] ?? unknown;
  return vector?.length === dimension && vector[1] === number % 97 && vector[2] === number % 31 ? number : unknown;
}

function payloadNumber(payload: Payload | undefined): number {
  const number = payload?.['number'];
  return typeof number === 'number' && payload?.['word'] === wordOf(number) ? number : unknown;
}

function wordOf(number: number): string {
  return `word ${number % 7}`;
}
