/**
 * fvecs, ivecs and bvecs, the files of the TEXMEX benchmark sets. Every row is
 *
 *   | dimension: i32 little-endian | dimension components: f32 (fvecs), i32 (ivecs) or u8 (bvecs) |
 */

import { open } from 'node:fs/promises';
import { limits } from '../../kernel/limits.ts';
import { ShoalError } from '../../kernel/errors.ts';
import { fixedRowReader, malformed, readFully } from './fixed-rows.ts';
import { textWriter } from './jsonl.ts';
import type { FilePoint, PointReader, PointWriter, ReaderOptions } from './point-file.ts';

export type VecsName = 'fvecs' | 'ivecs' | 'bvecs';

interface Component {
  readonly bytes: number;
  read(bytes: Buffer, offset: number): number;
  write(bytes: Buffer, offset: number, value: number): void;
  holds(value: number): boolean;
}

const components: Readonly<Record<VecsName, Component>> = {
  fvecs: { bytes: 4, read: (b, o) => b.readFloatLE(o), write: (b, o, v) => void b.writeFloatLE(v, o), holds: () => true },
  ivecs: { bytes: 4, read: (b, o) => b.readInt32LE(o), write: (b, o, v) => void b.writeInt32LE(v, o), holds: (v) => (v | 0) === v },
  bvecs: { bytes: 1, read: (b, o) => b[o]!, write: (b, o, v) => void b.writeUInt8(v, o), holds: (v) => (v & 0xff) === v },
};

export async function openVecsReader(name: VecsName, path: string, options: ReaderOptions): Promise<PointReader> {
  const component = components[name];
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size === 0) return fixedRowReader({ path, file, headerBytes: 0, rowBytes: 1, rowCount: 0, decode: () => ({ vector: new Float32Array(0) }) }, options);
    if (size < 4) throw malformed(path, `has ${size} bytes; a ${name} file begins with a dimension of 4 bytes`);
    const head = Buffer.alloc(4);
    await readFully(file, head, 0, path);
    const dimension = head.readInt32LE(0);
    if (dimension < 1 || dimension > limits.dimensionMax) {
      throw malformed(path, `begins with dimension ${dimension}, not 1 to ${limits.dimensionMax}; is it a ${name} file?`);
    }
    const rowBytes = 4 + dimension * component.bytes;
    if (size % rowBytes !== 0) {
      throw malformed(path, `has ${size} bytes, ${size % rowBytes} after the last whole row of ${rowBytes} (dimension ${dimension}); it is cut off or no ${name} file`);
    }
    const decode = (bytes: Buffer, offset: number): ReturnType<Parameters<typeof fixedRowReader>[0]['decode']> => {
      const found = bytes.readInt32LE(offset);
      if (found !== dimension) return { fault: { code: 'DIMENSION_MISMATCH', field: 'dimension', message: `is ${found} where the rows before have ${dimension}` } };
      const vector = new Float32Array(dimension);
      for (let i = 0; i < dimension; i++) vector[i] = component.read(bytes, offset + 4 + i * component.bytes);
      const bad = vector.findIndex((value) => !Number.isFinite(value));
      return bad === -1 ? { vector } : { fault: { code: 'VECTOR_NOT_FINITE', field: `vector[${bad}]`, message: 'is not a finite number' } };
    };
    return fixedRowReader({ path, file, headerBytes: 0, rowBytes, rowCount: size / rowBytes, decode }, options);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** INVALID_ARGUMENT where a component does not fit: writing it would change it. */
export async function openVecsWriter(name: VecsName, path: string): Promise<PointWriter> {
  const component = components[name];
  return textWriter(await open(path, 'w'), (points) => Buffer.concat(points.map((point) => encodeRow(name, component, point))));
}

function encodeRow(name: VecsName, component: Component, point: FilePoint): Buffer {
  const bytes = Buffer.alloc(4 + point.vector.length * component.bytes);
  bytes.writeInt32LE(point.vector.length, 0);
  point.vector.forEach((value, i) => {
    if (!component.holds(value)) {
      throw new ShoalError('INVALID_ARGUMENT', `vector[${i}] of point "${point.id}" is ${value}, which ${name} cannot hold; use fvecs`, { details: { field: `vector[${i}]` } });
    }
    component.write(bytes, 4 + i * component.bytes, value);
  });
  return bytes;
}
