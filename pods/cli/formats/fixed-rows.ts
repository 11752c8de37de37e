/** Files whose rows all have one size and hold vectors alone: read by row number, with ids from a side file or made up. */

import type { FileHandle } from 'node:fs/promises';
import { ShoalError } from '../../kernel/errors.ts';
import { openRowNames } from './row-names.ts';
import { rowPosition, type FileRow, type PointReader, type Position, type ReaderOptions, type RowFault } from './point-file.ts';

const chunkBytesMax = 1 << 20;

export interface FixedRows {
  readonly path: string;
  readonly file: FileHandle;
  /** Bytes before the first row. */
  readonly headerBytes: number;
  readonly rowBytes: number;
  readonly rowCount: number;
  /** The vector of the row at `offset`, or what is wrong with it. */
  decode(bytes: Buffer, offset: number): { readonly vector: Float32Array; readonly fault?: undefined } | { readonly fault: RowFault };
}

export function fixedRowReader(rows: FixedRows, options: ReaderOptions): PointReader {
  return {
    unit: 'row',
    begin: rowPosition(0),
    rowCount: rows.rowCount,
    fractionAt: (position) => (rows.rowCount === 0 ? 1 : position.row / rows.rowCount),
    rows: (from, signal) => readRows(rows, options, from, signal),
    close: () => rows.file.close(),
  };
}

async function* readRows(rows: FixedRows, options: ReaderOptions, from: Position, signal: AbortSignal): AsyncIterable<readonly FileRow[]> {
  const names = await openRowNames(options, from.row, signal);
  const rowsPerChunk = Math.max(1, Math.floor(chunkBytesMax / rows.rowBytes));
  const buffer = Buffer.alloc(rowsPerChunk * rows.rowBytes);
  try {
    for (let row = from.row; row < rows.rowCount; ) {
      signal.throwIfAborted();
      const count = Math.min(rowsPerChunk, rows.rowCount - row);
      await readFully(rows.file, buffer.subarray(0, count * rows.rowBytes), rows.headerBytes + row * rows.rowBytes, rows.path);
      const chunk: FileRow[] = [];
      for (let i = 0; i < count; i++, row++) {
        const place = { at: rowPosition(row), after: rowPosition(row + 1) };
        const decoded = rows.decode(buffer, i * rows.rowBytes);
        const name = await names.next(row);
        if (decoded.fault !== undefined) chunk.push({ ...place, fault: decoded.fault });
        else if (name.fault !== undefined) chunk.push({ ...place, fault: name.fault });
        else chunk.push({ ...place, point: { ...name.named, vector: decoded.vector } });
      }
      yield chunk;
    }
  } finally {
    await names.close();
  }
}

/** Fills `into` from `offset`, or throws what an ended file gives. */
export async function readFully(file: FileHandle, into: Buffer, offset: number, path: string): Promise<void> {
  let filled = 0;
  while (filled < into.length) {
    const { bytesRead } = await file.read(into, filled, into.length - filled, offset + filled);
    if (bytesRead === 0) throw malformed(path, `ends at byte ${offset + filled}, in the middle of a row; was it changed meanwhile?`);
    filled += bytesRead;
  }
}

export function malformed(path: string, message: string): ShoalError {
  return new ShoalError('MALFORMED_BODY', `${path}: ${message}`, { details: { file: path } });
}
