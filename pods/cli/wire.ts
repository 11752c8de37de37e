/** Points between the generated messages of shoal.v1 and the domain's types. */

import { endianness } from 'node:os';
import type { Payload } from '../domain/point.ts';
import type { Point, PointUpsert } from '../../proto/gen/shoal/v1/point.ts';
import type { FilePoint } from './formats/point-file.ts';

const littleEndian = endianness() === 'LE';

/** 32-bit floats in little-endian order: a view where the machine has that order, else a copy. */
export function packVector(vector: Float32Array): Uint8Array {
  if (littleEndian) return new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
  const bytes = new DataView(new ArrayBuffer(vector.length * 4));
  vector.forEach((value, i) => bytes.setFloat32(i * 4, value, true));
  return new Uint8Array(bytes.buffer);
}

export function unpackVector(packed: Uint8Array): Float32Array {
  const bytes = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  return Float32Array.from({ length: packed.byteLength >> 2 }, (_, i) => bytes.getFloat32(i * 4, true));
}

export function pointUpsert(point: FilePoint): PointUpsert {
  return { id: point.id, vector: [], packedVector: packVector(point.vector), payload: point.payload as PointUpsert['payload'], text: point.text, condition: undefined };
}

/** A point as `--output json` prints it, with the parts that the server sent. */
export interface ShownPoint {
  readonly id: string;
  readonly version: number;
  readonly vector?: Float32Array;
  readonly payload?: Payload;
  readonly text?: string;
}

export function shownPoint(point: Pick<Point, 'id' | 'version' | 'vector' | 'packedVector' | 'payload' | 'text'>): ShownPoint {
  const vector = point.packedVector.length > 0 ? unpackVector(point.packedVector) : Float32Array.from(point.vector);
  return {
    id: point.id,
    version: Number(point.version),
    ...(vector.length === 0 ? {} : { vector }),
    ...(point.payload === undefined ? {} : { payload: point.payload as Payload }),
    ...(point.text === undefined ? {} : { text: point.text }),
  };
}
