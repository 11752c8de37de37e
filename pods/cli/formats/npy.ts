/**
 * npy, NumPy's file of one array; read and written here in two dimensions, a vector each row.
 *
 *   | 0x93 "NUMPY" | major u8 | minor u8 | header length: u16 (major 1) or u32, little-endian | header: a Python literal |
 *   | rows in C order |
 *
 * Header: {'descr': '<f4', 'fortran_order': False, 'shape': (rows, columns), } padded with spaces to a multiple of 64.
 */

import { open, type FileHandle } from 'node:fs/promises';
import { limits } from '../../kernel/limits.ts';
import { fixedRowReader, malformed, readFully, type FixedRows } from './fixed-rows.ts';
import type { FilePoint, PointReader, PointWriter, ReaderOptions } from './point-file.ts';

const magic = Buffer.from('\x93NUMPY', 'latin1');
const headerBytesMax = 64 * 1024;

type ReadComponent = (view: DataView, offset: number) => number;

/** By the letter and size of NumPy's type; the byte order comes before them. */
const componentTypes: Readonly<Record<string, (little: boolean) => ReadComponent>> = {
  f2: (little) => (view, offset) => halfFloat(view.getUint16(offset, little)),
  f4: (little) => (view, offset) => view.getFloat32(offset, little),
  f8: (little) => (view, offset) => view.getFloat64(offset, little),
  i1: () => (view, offset) => view.getInt8(offset),
  u1: () => (view, offset) => view.getUint8(offset),
  i2: (little) => (view, offset) => view.getInt16(offset, little),
  u2: (little) => (view, offset) => view.getUint16(offset, little),
  i4: (little) => (view, offset) => view.getInt32(offset, little),
  u4: (little) => (view, offset) => view.getUint32(offset, little),
  i8: (little) => (view, offset) => Number(view.getBigInt64(offset, little)),
  u8: (little) => (view, offset) => Number(view.getBigUint64(offset, little)),
};

export async function openNpyReader(path: string, options: ReaderOptions): Promise<PointReader> {
  const file = await open(path, 'r');
  try {
    return fixedRowReader(await readHeader(path, file), options);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readHeader(path: string, file: FileHandle): Promise<FixedRows> {
  const { size } = await file.stat();
  const head = Buffer.alloc(Math.min(12, size));
  await readFully(file, head, 0, path);
  if (!head.subarray(0, magic.length).equals(magic)) throw malformed(path, 'does not begin with the magic of npy (\\x93NUMPY)');
  if (head.length < 12) throw malformed(path, 'is cut off inside its header');
  const major = head[6]!;
  if (major < 1 || major > 3) throw malformed(path, `has npy version ${major}; 1 to 3 are known`);
  const lengthEnd = major === 1 ? 10 : 12;
  const headerLength = major === 1 ? head.readUInt16LE(8) : head.readUInt32LE(8);
  const headerBytes = lengthEnd + headerLength;
  if (headerLength > headerBytesMax) throw malformed(path, `has a header of ${headerLength} bytes; the limit is ${headerBytesMax}`);
  if (headerBytes > size) throw malformed(path, 'is cut off inside its header');
  const headerText = Buffer.alloc(headerLength);
  await readFully(file, headerText, lengthEnd, path);

  const { componentBytes, read, shape } = parseHeader(path, headerText.toString('latin1'));
  const [rowCount, dimension] = shape;
  const rowBytes = dimension * componentBytes;
  const expected = headerBytes + rowCount * rowBytes;
  if (size !== expected) throw malformed(path, `has ${size} bytes where its header (${rowCount} rows of ${dimension}) asks for ${expected}; it is cut off or damaged`);
  const decode: FixedRows['decode'] = (bytes, offset) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset + offset, rowBytes);
    const vector = new Float32Array(dimension);
    for (let i = 0; i < dimension; i++) vector[i] = read(view, i * componentBytes);
    const bad = vector.findIndex((value) => !Number.isFinite(value));
    return bad === -1 ? { vector } : { fault: { code: 'VECTOR_NOT_FINITE', field: `vector[${bad}]`, message: 'is not a finite 32-bit number' } };
  };
  return { path, file, headerBytes, rowBytes, rowCount, decode };
}

function parseHeader(path: string, header: string): { componentBytes: number; read: ReadComponent; shape: readonly [number, number] } {
  const description = /'descr'\s*:\s*'([<>|=])([a-z]\d+)'/.exec(header);
  const makeRead = description === null ? undefined : componentTypes[description[2]!];
  if (description === null || makeRead === undefined) {
    const found = /'descr'\s*:\s*('[^']*'|\[)/.exec(header)?.[1] ?? 'nothing';
    throw malformed(path, `holds values of type ${found}; ${Object.keys(componentTypes).join(', ')} are known`);
  }
  if (/'fortran_order'\s*:\s*True/.test(header)) throw malformed(path, 'is in Fortran order; save it with numpy.ascontiguousarray first');
  const shape = /'shape'\s*:\s*\(([^)]*)\)/.exec(header)?.[1]?.split(',').map((part) => part.trim()).filter((part) => part !== '');
  if (shape?.length !== 2 || !shape.every((part) => /^\d+$/.test(part))) {
    throw malformed(path, `has shape (${shape?.join(', ') ?? ''}); it must have two dimensions, rows and components`);
  }
  const [rows, columns] = shape.map(Number) as [number, number];
  if (!Number.isSafeInteger(rows) || columns < 1 || columns > limits.dimensionMax) {
    throw malformed(path, `has vectors of ${columns} components; 1 to ${limits.dimensionMax} are allowed`);
  }
  // "=" is the byte order of the machine that wrote it, which nobody can know; little-endian is what is met in practice.
  return { componentBytes: Number(description[2]!.slice(1)), read: makeRead(description[1] !== '>'), shape: [rows, columns] };
}

/** IEEE 754 binary16. */
function halfFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const writtenHeaderBytes = 128;

/** The header's row count is filled in at the end. */
export async function openNpyWriter(path: string): Promise<PointWriter> {
  const file = await open(path, 'w');
  let rowCount = 0;
  let dimension = 0;
  await file.write(encodeHeader(0, 0));
  return {
    async write(points: readonly FilePoint[]) {
      for (const { vector } of points) {
        if (dimension === 0) dimension = vector.length;
        if (vector.length !== dimension) throw malformed(path, `got a vector of ${vector.length} components after vectors of ${dimension}`);
      }
      rowCount += points.length;
      await file.writeFile(Buffer.concat(points.map(({ vector }) => encodeRow(vector))));
    },
    async finish() {
      await file.write(encodeHeader(rowCount, dimension), 0, writtenHeaderBytes, 0);
      await file.sync();
      await file.close();
    },
    abandon: () => file.close(),
  };
}

function encodeRow(vector: Float32Array): Buffer {
  const bytes = Buffer.alloc(vector.length * 4);
  vector.forEach((value, i) => bytes.writeFloatLE(value, i * 4));
  return bytes;
}

function encodeHeader(rowCount: number, dimension: number): Buffer {
  const bytes = Buffer.alloc(writtenHeaderBytes, ' ');
  magic.copy(bytes);
  bytes.set([1, 0], magic.length);
  bytes.writeUInt16LE(writtenHeaderBytes - 10, 8);
  bytes.write(`{'descr': '<f4', 'fortran_order': False, 'shape': (${rowCount}, ${dimension}), }`, 10, 'latin1');
  bytes[writtenHeaderBytes - 1] = 0x0a;
  return bytes;
}
