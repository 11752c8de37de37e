/**
 * Ids, payloads and texts for formats that hold vectors alone. Made from a prefix and the row's number, or read from a
 * side file with one line for each row: a bare id, or a JSON object `{"id": …, "payload": {…}, "text": …}`.
 */

import { readLines, type Line } from './byte-lines.ts';
import { ShoalError } from '../../kernel/errors.ts';
import type { FilePoint, ReaderOptions, RowFault } from './point-file.ts';

export type Named = Omit<FilePoint, 'vector'>;

export interface RowNames {
  /** Of the row after the one asked for before. */
  next(row: number): Promise<{ readonly named: Named; readonly fault?: undefined } | { readonly fault: RowFault }>;
  close(): Promise<void>;
}

export async function openRowNames(options: ReaderOptions, fromRow: number, signal: AbortSignal): Promise<RowNames> {
  const path = options.idsFile;
  const prefix = options.idPrefix ?? '';
  if (path === undefined) {
    return { next: (row) => Promise.resolve({ named: { id: `${prefix}${row}`, payload: {} } }), close: () => Promise.resolve() };
  }
  const lines = eachLine(path, signal);
  const next = async (row: number): ReturnType<RowNames['next']> => {
    const line = await lines.next();
    if (line.done === true) {
      throw new ShoalError('INVALID_ARGUMENT', `${path}: has ${row} lines; every row of the file with the vectors needs one`, { details: { file: path, line: row + 1 } });
    }
    return namedFromLine(line.value, path);
  };
  for (let row = 0; row < fromRow; row++) await next(row);
  return { next, close: async () => void (await lines.return(undefined)) };
}

async function* eachLine(path: string, signal: AbortSignal): AsyncGenerator<Line, undefined> {
  for await (const lines of readLines(path, { row: 0, offset: 0, line: 1 }, signal)) yield* lines;
  return undefined;
}

function namedFromLine(line: Line, path: string): { readonly named: Named } | { readonly fault: RowFault } {
  const fault = (message: string): { readonly fault: RowFault } => ({ fault: { code: 'INVALID_ARGUMENT', field: `${path}:${line.at.line}`, message } });
  if (line.text === undefined) return fault('is not valid UTF-8');
  if (!line.text.startsWith('{')) return { named: { id: line.text, payload: {} } };
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(line.text) as Record<string, unknown>;
  } catch {
    return fault('is neither a bare id nor a JSON object');
  }
  const id = Number.isSafeInteger(value['id']) ? String(value['id']) : value['id'];
  if (typeof id !== 'string') return fault('has no id');
  const payload = value['payload'] ?? {};
  if (typeof payload !== 'object' || Array.isArray(payload)) return fault('has a payload that is not a JSON object');
  const text = value['text'];
  return { named: { id, payload: payload as Named['payload'], ...(typeof text === 'string' ? { text } : {}) } };
}

/** The line of a side file for a point. */
export function nameLine(point: FilePoint): string {
  const { id, payload, text } = point;
  return JSON.stringify({ id, payload, ...(text === undefined ? {} : { text }) });
}
