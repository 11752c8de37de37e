/**
 * Rows of a file as batches. The cuts depend on the rows and the limits alone, never on time or on what the server does:
 * an import that goes on from a cut makes the same batches under the same numbers.
 */

import { checkPointId, checkText, checkVector, encodePayload, utf8Length } from '../../domain/point.ts';
import type { Metric } from '../../domain/metric.ts';
import { ShoalError } from '../../kernel/errors.ts';
import type { FilePoint, FileRow, PointReader, Position, RowFault } from '../formats/point-file.ts';

export interface Batch {
  /** From 1; also its request number. */
  readonly number: number;
  readonly points: readonly FilePoint[];
  readonly after: Position;
  /** Rows that were left out. */
  readonly badRows: readonly BadRow[];
}

export interface BadRow extends RowFault {
  /** Line or row, as the format counts. */
  readonly place: number;
}

export interface BatchLimits {
  readonly pointCountMax: number;
  readonly bytesMax: number;
  /** A batch that left out more rows is cut at once; the import fails on it. */
  readonly badRowCountMax: number;
}

export interface BatchTarget {
  readonly dimension: number;
  readonly metric: Metric;
}

/** One id stands in a batch once: its second row begins the next batch, so that the file's order decides. */
export async function* batchesOf(reader: PointReader, from: { position: Position; batch: number }, target: BatchTarget, bounds: BatchLimits, signal: AbortSignal): AsyncIterable<Batch> {
  let number = from.batch;
  let points: FilePoint[] = [];
  let badRows: BadRow[] = [];
  let ids = new Set<string>();
  let bytes = 0;
  let after = from.position;
  const cut = (): Batch => {
    const batch: Batch = { number: ++number, points, after, badRows };
    points = [];
    badRows = [];
    ids = new Set();
    bytes = 0;
    return batch;
  };
  for await (const rows of reader.rows(from.position, signal)) {
    for (const row of rows) {
      const checked = checkRow(row, target);
      if (checked.fault !== undefined) {
        badRows.push({ ...checked.fault, place: placeOf(reader, row.at) });
      } else {
        const full = points.length === bounds.pointCountMax || (points.length > 0 && bytes + checked.bytes > bounds.bytesMax);
        if (full || ids.has(checked.point.id)) yield cut();
        points.push(checked.point);
        ids.add(checked.point.id);
        bytes += checked.bytes;
      }
      after = row.after;
      if (badRows.length > bounds.badRowCountMax) yield cut();
    }
  }
  if (points.length > 0 || badRows.length > 0) yield cut();
}

export function placeOf(reader: PointReader, at: Position): number {
  return reader.unit === 'line' ? at.line : at.row;
}

type Checked = { readonly point: FilePoint; readonly bytes: number; readonly fault?: undefined } | { readonly fault: RowFault };

/** What the server would refuse is found here, where the line is known. */
function checkRow(row: FileRow, target: BatchTarget): Checked {
  if (row.fault !== undefined) return { fault: row.fault };
  const { point } = row;
  try {
    checkPointId(point.id);
    checkVector(point.vector, target.dimension, target.metric);
    const payload = encodePayload(point.payload);
    if (point.text !== undefined) checkText(point.text);
    return { point, bytes: point.vector.byteLength + payload.length + utf8Length(point.id) + (point.text === undefined ? 0 : utf8Length(point.text)) };
  } catch (error) {
    if (!(error instanceof ShoalError)) throw error;
    const field = error.details['field'];
    return { fault: { code: error.code, message: error.message, ...(typeof field === 'string' ? { field } : {}) } };
  }
}

/** `points.jsonl: line 12: vector[3]: is not a number`. */
export function badRowText(file: string, unit: PointReader['unit'], row: BadRow): string {
  const field = row.field === undefined || row.message.startsWith(row.field) ? '' : `${row.field}: `;
  return `${file}: ${unit} ${row.place}: ${field}${row.message}`;
}

export function badRowError(file: string, unit: PointReader['unit'], row: BadRow): ShoalError {
  return new ShoalError(row.code, badRowText(file, unit, row), { details: { file, [unit]: row.place, ...(row.field === undefined ? {} : { field: row.field }) } });
}
