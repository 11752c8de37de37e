/**
 * Vectors on disk as fvecs: each row is its dimension (int32, little-endian) and that many 32-bit floats. Rows can be
 * appended, so a long computation goes on where it was stopped.
 */

import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';

export interface VectorRows {
  readonly dimension: number;
  readonly count: number;
  /** Row by row. */
  readonly values: Float32Array;
}

export interface NamedVectors {
  readonly source: string;
  readonly dimension: number;
  readonly names: readonly string[];
  /** Row by row, one row per name. */
  readonly values: Float32Array;
}

const rowsPerRead = 4_096;

/** Rows that are complete in the file; 0 when there is none. */
export function rowCount(path: string, dimension: number): number {
  if (!existsSync(path)) return 0;
  const file = openSync(path, 'r');
  try {
    return Math.floor(fstatSync(file).size / rowBytes(dimension));
  } finally {
    closeSync(file);
  }
}

export function readVectors(path: string, dimension: number, countMax = Infinity): VectorRows {
  const count = Math.min(rowCount(path, dimension), countMax);
  const values = new Float32Array(count * dimension);
  const stride = dimension + 1;
  const chunk = new Int32Array(rowsPerRead * stride);
  const floats = new Float32Array(chunk.buffer);
  const file = openSync(path, 'r');
  try {
    for (let row = 0; row < count; row += rowsPerRead) {
      const rows = Math.min(rowsPerRead, count - row);
      const wantedBytes = rows * stride * 4;
      if (readSync(file, chunk, 0, wantedBytes, row * stride * 4) !== wantedBytes) throw new Error(`${path} ends early`);
      for (let at = 0; at < rows; at++) {
        if (chunk[at * stride] !== dimension) throw new Error(`${path}: row ${row + at} has not ${dimension} dimensions; delete the file`);
        values.set(floats.subarray(at * stride + 1, (at + 1) * stride), (row + at) * dimension);
      }
    }
  } finally {
    closeSync(file);
  }
  return { dimension, count, values };
}

/** Appends rows, after cutting off a row that an earlier run did not finish. */
export function appendVectors(path: string, dimension: number, rows: readonly ArrayLike<number>[]): void {
  const stride = dimension + 1;
  const bytes = new Int32Array(rows.length * stride);
  const floats = new Float32Array(bytes.buffer);
  for (const [at, row] of rows.entries()) {
    bytes[at * stride] = dimension;
    floats.set(row, at * stride + 1);
  }
  const file = openSync(path, existsSync(path) ? 'r+' : 'w');
  try {
    const wholeBytes = Math.floor(fstatSync(file).size / rowBytes(dimension)) * rowBytes(dimension);
    ftruncateSync(file, wholeBytes);
    writeSync(file, bytes, 0, bytes.byteLength, wholeBytes);
  } finally {
    closeSync(file);
  }
}

function rowBytes(dimension: number): number {
  return (dimension + 1) * 4;
}
