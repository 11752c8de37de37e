/**
 * What `import` and `export` need of a file format: a reader that can go on from any row it has read, and a writer that
 * takes points as they come. One file per format implements them; none holds more of a file in memory than a chunk.
 */

import type { Payload } from '../../domain/point.ts';
import type { ErrorCode } from '../../kernel/errors.ts';

export const formatNames = ['jsonl', 'csv', 'fvecs', 'ivecs', 'bvecs', 'npy', 'parquet'] as const;
export type FormatName = (typeof formatNames)[number];

export interface FilePoint {
  readonly id: string;
  readonly vector: Float32Array;
  readonly payload: Payload;
  readonly text?: string;
}

/** Where a row begins. A reader given the position after a row goes on with the next one. */
export interface Position {
  /** Rows before it. */
  readonly row: number;
  /** Bytes before it; 0 in formats that seek by row. */
  readonly offset: number;
  /** The line it begins on, from 1; 0 in binary formats. */
  readonly line: number;
}

/** What is wrong with one row; the rows after it can still be read. */
export interface RowFault {
  readonly code: ErrorCode;
  readonly message: string;
  readonly field?: string;
}

export type FileRow = { readonly at: Position; readonly after: Position } & (
  | { readonly point: FilePoint; readonly fault?: undefined }
  | { readonly fault: RowFault; readonly point?: undefined }
);

export interface PointReader {
  /** How a row is named in messages: by its line, or by its number. */
  readonly unit: 'line' | 'row';
  readonly begin: Position;
  /** Rows in the file when that is known without reading it. */
  readonly rowCount?: number;
  /** For progress: how much of the file lies before a position, from 0 to 1; undefined when that is not known. */
  fractionAt(position: Position): number | undefined;
  /** Rows in file order, in chunks of bounded size. Throws a ShoalError that names the file when the file itself is malformed. */
  rows(from: Position, signal: AbortSignal): AsyncIterable<readonly FileRow[]>;
  close(): Promise<void>;
}

export interface PointWriter {
  write(points: readonly FilePoint[]): Promise<void>;
  /** Completes the file. Nothing can be written afterwards. */
  finish(): Promise<void>;
  /** Releases the file without completing it. */
  abandon(): Promise<void>;
}

export const cellTypes = ['string', 'integer', 'float', 'bool', 'json'] as const;
export type CellType = (typeof cellTypes)[number];

/** How columns or fields become points. Not every format uses every option. */
export interface ReaderOptions {
  /** Default `id`. */
  readonly idColumn?: string;
  /** Ids are this and the row's number, from 0, in formats without ids or where no id column exists. */
  readonly idPrefix?: string;
  /** Default `vector`. */
  readonly vectorColumn?: string;
  /** The vector is every column from one to another, in the file's order. */
  readonly vectorColumns?: { readonly first: string; readonly last: string };
  /** A column that holds the payload as a JSON object; default `payload`. */
  readonly payloadColumn?: string;
  /** Default `text`. */
  readonly textColumn?: string;
  /** Types of CSV columns that are not to be guessed. */
  readonly columnTypes?: ReadonlyMap<string, CellType>;
  readonly delimiter?: string;
  /** CSV; an empty text switches quoting off. */
  readonly quote?: string;
  /** CSV; default true. Without a header the columns are c1, c2, … */
  readonly header?: boolean;
  /** Ids (and payloads) of the rows of a format that holds vectors alone: one id or JSON object a line. */
  readonly idsFile?: string;
}

/** A position in a format whose rows all have one size. */
export function rowPosition(row: number): Position {
  return { row, offset: 0, line: 0 };
}
