/**
 * JSON Lines: one point a line, `{"id": "a", "vector": [0.1, 0.2], "payload": {"k": 1}, "text": "…"}`. Where a line has
 * no `payload`, its other fields are the payload. Empty lines are passed over. Files that are written here read back as
 * the same points.
 */

import { open, stat, type FileHandle } from 'node:fs/promises';
import type { Payload } from '../../domain/point.ts';
import { readLines, type ByteOrigin, type Line } from './byte-lines.ts';
import { shortFloats } from '../../domain/short-float.ts';
import { vectorFromArray, shorten } from './vector-value.ts';
import type { FilePoint, FileRow, PointReader, PointWriter, Position, ReaderOptions, RowFault } from './point-file.ts';

export async function openJsonlReader(origin: ByteOrigin, options: ReaderOptions): Promise<PointReader> {
  const size = typeof origin === 'string' ? (await stat(origin)).size : undefined;
  return {
    unit: 'line',
    begin: { row: 0, offset: 0, line: 1 },
    fractionAt: (position) => (size === undefined || size === 0 ? undefined : position.offset / size),
    rows: (from, signal) => readJsonl(origin, options, from, signal),
    close: () => Promise.resolve(),
  };
}

async function* readJsonl(origin: ByteOrigin, options: ReaderOptions, from: Position, signal: AbortSignal): AsyncIterable<readonly FileRow[]> {
  for await (const lines of readLines(origin, from, signal)) {
    const rows: FileRow[] = [];
    for (const line of lines) {
      if (line.text !== undefined && line.text.trim() === '') continue;
      rows.push({ at: line.at, after: line.after, ...pointOfLine(line, options) });
    }
    if (rows.length > 0) yield rows;
  }
}

type PointOrFault = { readonly point: FilePoint } | { readonly fault: RowFault };

function pointOfLine(line: Line, options: ReaderOptions): PointOrFault {
  if (line.text === undefined) return { fault: { code: 'MALFORMED_BODY', message: 'is not valid UTF-8' } };
  let value: unknown;
  try {
    value = JSON.parse(line.text);
  } catch (error) {
    return { fault: { code: 'MALFORMED_BODY', message: `is not JSON: ${shorten((error as Error).message)}` } };
  }
  if (!isObject(value)) return { fault: { code: 'MALFORMED_BODY', message: 'is not a JSON object' } };
  return pointFromObject(value, options, line.at.row);
}

/** A point from a JSON object's fields. */
export function pointFromObject(object: Readonly<Record<string, unknown>>, options: ReaderOptions, row: number): PointOrFault {
  const names = { id: options.idColumn ?? 'id', vector: options.vectorColumn ?? 'vector', payload: options.payloadColumn ?? 'payload', text: options.textColumn ?? 'text' };
  const fault = (field: string, message: string): PointOrFault => ({ fault: { code: 'INVALID_ARGUMENT', field, message } });
  let id = object[names.id];
  if (id === undefined && options.idPrefix !== undefined) id = `${options.idPrefix}${row}`;
  if (Number.isSafeInteger(id)) id = String(id);
  if (typeof id !== 'string') return fault(names.id, id === undefined ? 'is missing' : 'must be a string or an integer');
  const components = object[names.vector];
  if (!Array.isArray(components)) return fault(names.vector, components === undefined ? 'is missing' : 'must be an array of numbers');
  const read = vectorFromArray(components, names.vector);
  if (read.fault !== undefined) return { fault: read.fault };
  const text = object[names.text];
  if (text !== undefined && text !== null && typeof text !== 'string') return fault(names.text, 'must be a string');
  const given = object[names.payload];
  const known = Object.values(names);
  const others = Object.fromEntries(Object.entries(object).filter(([name]) => !known.includes(name)));
  if (given !== undefined && given !== null && !isObject(given)) return fault(names.payload, 'must be a JSON object');
  const unknown = Object.keys(others)[0];
  if (given !== undefined && unknown !== undefined) {
    return { fault: { code: 'UNKNOWN_FIELD', field: unknown, message: `stands beside "${names.payload}"; put it inside` } };
  }
  const payload = (given ?? others) as Payload;
  return { point: { id, vector: read.vector, payload, ...(typeof text === 'string' ? { text } : {}) } };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The line of a point, without its end. A payload is always written, so that the line says what it is. */
export function jsonLine(point: FilePoint): string {
  const { id, vector, payload, text } = point;
  return JSON.stringify({ id, vector: shortFloats(vector), payload, ...(text === undefined ? {} : { text }) });
}

export async function openJsonlWriter(path: string): Promise<PointWriter> {
  return textWriter(await open(path, 'w'), (points) => points.map((point) => `${jsonLine(point)}\n`).join(''));
}

/** A writer whose file is the concatenation of what `encode` makes of each group of points. */
export function textWriter(file: FileHandle, encode: (points: readonly FilePoint[]) => string | Buffer): PointWriter {
  return {
    write: (points) => file.writeFile(encode(points)),
    finish: async () => {
      await file.sync();
      await file.close();
    },
    abandon: () => file.close(),
  };
}
