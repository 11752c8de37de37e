/**
 * Typed arrays that live no longer than a request, many in one buffer: an array with a buffer of its own costs most of a
 * microsecond to make, and as much again when it is collected. One that stays longer would keep the bytes of all others.
 */

const sharedBytes = 64 * 1024;
/** Larger arrays have buffers of their own. */
const placedBytesMax = 8 * 1024;

let shared = new ArrayBuffer(sharedBytes);
let usedBytes = 0;

/** All zero. */
export function shortLivedFloats(length: number): Float32Array<ArrayBuffer> {
  const at = place(length * Float32Array.BYTES_PER_ELEMENT);
  return at === undefined ? new Float32Array(length) : new Float32Array(shared, at, length);
}

/** All zero. */
export function shortLivedInts(length: number): Int32Array<ArrayBuffer> {
  const at = place(length * Int32Array.BYTES_PER_ELEMENT);
  return at === undefined ? new Int32Array(length) : new Int32Array(shared, at, length);
}

/** Bytes that nobody had before. */
function place(bytes: number): number | undefined {
  if (bytes > placedBytesMax) return undefined;
  if (usedBytes + bytes > sharedBytes) {
    shared = new ArrayBuffer(sharedBytes);
    usedBytes = 0;
  }
  const at = usedBytes;
  usedBytes += bytes;
  return at;
}
