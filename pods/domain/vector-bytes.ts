/**
 * A vector on its way into a shard: little-endian 32-bit floats, four bytes a component, at any alignment, as a message,
 * an entry of the log or the store holds them. Such bytes are handed on as views and never change again, so that between
 * the message and the index's own memory nobody copies them. Every platform that Node runs on is little-endian.
 */

export type VectorBytes = Uint8Array;

/** A view. */
export function bytesOfVector(vector: Float32Array): VectorBytes {
  return new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
}

/** A copy, which is aligned. */
export function vectorOfBytes(bytes: VectorBytes): Float32Array {
  const vector = new Float32Array(bytes.length / 4);
  new Uint8Array(vector.buffer).set(bytes);
  return vector;
}
