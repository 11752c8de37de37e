/**
 * CSV (RFC 4180), with a header unless told otherwise. A cell's type is guessed from its text unless `--column-types`
 * names it: empty is absent; then true and false, numbers in JSON's form, JSON arrays and objects, else a string. A file
 * that is written here has the columns id, vector, payload, text (vector and payload as JSON) and reads back the same.
 */

import { open, stat } from 'node:fs/promises';
import { parse, type CsvError, type Parser } from 'csv-parse';
import type { Payload, PayloadValue } from '../../domain/point.ts';
import { limits } from '../../kernel/limits.ts';
import { ShoalError } from '../../kernel/errors.ts';
import { originName, readChunks, type ByteOrigin } from './byte-lines.ts';
import { columnMapping, type ColumnMapping } from './column-mapping.ts';
import { textWriter } from './jsonl.ts';
import { shortFloats } from '../../domain/short-float.ts';
import { shorten, vectorFromCells, vectorFromText } from './vector-value.ts';
import type { CellType, FilePoint, FileRow, PointReader, PointWriter, Position, ReaderOptions, RowFault } from './point-file.ts';

const rowsPerChunkMax = 256;

interface CsvRecord {
  readonly record: readonly string[];
  readonly info: { readonly bytes: number; readonly lines: number };
}

export async function openCsvReader(origin: ByteOrigin, options: ReaderOptions): Promise<PointReader> {
  const name = originName(origin);
  const size = typeof origin === 'string' ? (await stat(origin)).size : undefined;
  return {
    unit: 'line',
    begin: { row: 0, offset: 0, line: 1 },
    fractionAt: (position) => (size === undefined || size === 0 ? undefined : position.offset / size),
    rows: (from, signal) => readCsv(origin, name, options, from, signal),
    close: () => Promise.resolve(),
  };
}

async function* readCsv(origin: ByteOrigin, name: string, options: ReaderOptions, from: Position, signal: AbortSignal): AsyncIterable<readonly FileRow[]> {
  // Going on in the middle needs the columns, which stand at the beginning.
  let columns = from.offset > 0 ? await firstRecord(origin, name, options, signal) : undefined;
  let mapping = columns === undefined ? undefined : columnMapping(name, columns, options);
  let at = from;
  let rows: FileRow[] = [];
  for await (const { record, info } of records(origin, name, options, from, signal)) {
    const after: Position = { row: at.row + 1, offset: from.offset + info.bytes, line: from.line + info.lines };
    if (columns === undefined || mapping === undefined) {
      columns = headerOf(record, options);
      mapping = columnMapping(name, columns, options);
      if (options.header !== false) {
        at = { ...after, row: 0 };
        continue;
      }
    }
    rows.push({ at, after, ...pointOfRecord(record, columns, mapping, options, at.row) });
    at = after;
    if (rows.length === rowsPerChunkMax) {
      yield rows;
      rows = [];
    }
  }
  if (rows.length > 0) yield rows;
}

async function* records(origin: ByteOrigin, name: string, options: ReaderOptions, from: Position, signal: AbortSignal): AsyncIterable<CsvRecord> {
  const parser: Parser = parse({
    info: true,
    bom: from.offset === 0,
    delimiter: options.delimiter ?? ',',
    quote: options.quote === '' ? null : (options.quote ?? '"'),
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: limits.grpcMessageBytesMax,
  });
  const feed = async (): Promise<void> => {
    for await (const chunk of readChunks(origin, from.offset, signal)) {
      if (!parser.write(chunk)) await drained(parser);
      if (parser.destroyed) return;
    }
    parser.end();
  };
  feed().catch((error: unknown) => parser.destroy(error as Error));
  try {
    for await (const record of parser) yield record as CsvRecord;
  } catch (error) {
    throw asFileError(error, name, from);
  } finally {
    parser.destroy();
  }
}

/** Resolves when the parser takes more, or takes nothing any more. */
function drained(parser: Parser): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      parser.removeListener('drain', done);
      parser.removeListener('close', done);
      resolve();
    };
    parser.on('drain', done);
    parser.on('close', done);
  });
}

function asFileError(error: unknown, name: string, from: Position): unknown {
  const code = (error as CsvError).code;
  if (typeof code !== 'string' || !code.startsWith('CSV_')) return error;
  const lines = (error as unknown as { lines?: number }).lines ?? 1;
  const line = from.line + lines - 1;
  return new ShoalError('MALFORMED_BODY', `${name}: line ${line}: ${csvFaults[code] ?? 'is not valid CSV'} (${code})`, { details: { file: name, line }, cause: error });
}

const csvFaults: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: 'a quoted cell is not closed before the end of the file',
  CSV_INVALID_CLOSING_QUOTE: 'a quoted cell goes on after its closing quote',
  INVALID_OPENING_QUOTE: 'a quote stands inside a cell that does not begin with one',
  CSV_MAX_RECORD_SIZE: `is longer than ${limits.grpcMessageBytesMax} bytes`,
};

async function firstRecord(origin: ByteOrigin, name: string, options: ReaderOptions, signal: AbortSignal): Promise<readonly string[] | undefined> {
  for await (const { record } of records(origin, name, options, { row: 0, offset: 0, line: 1 }, signal)) return headerOf(record, options);
  return undefined;
}

function headerOf(record: readonly string[], options: ReaderOptions): readonly string[] {
  return options.header === false ? record.map((_, index) => `c${index + 1}`) : record.map((cell) => cell.trim());
}

type PointOrFault = { readonly point: FilePoint } | { readonly fault: RowFault };

function pointOfRecord(record: readonly string[], columns: readonly string[], mapping: ColumnMapping, options: ReaderOptions, row: number): PointOrFault {
  if (record.length !== columns.length) {
    return { fault: { code: 'MALFORMED_BODY', message: `has ${record.length} cells where ${columns.length} columns are` } };
  }
  // The decoder puts U+FFFD where bytes are not UTF-8.
  const garbled = record.findIndex((cell) => cell.includes('\ufffd'));
  if (garbled !== -1) return { fault: { code: 'MALFORMED_BODY', field: columns[garbled]!, message: 'is not valid UTF-8' } };

  const read =
    'whole' in mapping.vector
      ? vectorFromText(record[mapping.vector.whole]!, columns[mapping.vector.whole]!)
      : vectorFromCells(mapping.vector.components.map((index) => record[index]!), componentName(columns, mapping.vector.components));
  if (read.fault !== undefined) return { fault: read.fault };
  const payload: Record<string, PayloadValue> = {};
  if (mapping.payload !== undefined && record[mapping.payload] !== '') {
    const cell = typedCell(record[mapping.payload]!, 'json');
    if (cell.fault !== undefined || typeof cell.value !== 'object' || cell.value === null || Array.isArray(cell.value)) {
      return { fault: { code: 'INVALID_ARGUMENT', field: columns[mapping.payload]!, message: 'is not a JSON object' } };
    }
    Object.assign(payload, cell.value);
  }
  for (const { index, name } of mapping.rest) {
    const text = record[index]!;
    const type = options.columnTypes?.get(name);
    if (text === '' && type !== 'string') continue;
    const cell = typedCell(text, type);
    if (cell.fault !== undefined) return { fault: { code: 'INVALID_ARGUMENT', field: name, message: cell.fault } };
    payload[name] = cell.value;
  }
  const id = mapping.id === undefined ? `${options.idPrefix ?? ''}${row}` : record[mapping.id]!;
  const text = mapping.text === undefined ? '' : record[mapping.text]!;
  return { point: { id, vector: read.vector, payload: payload as Payload, ...(text === '' ? {} : { text }) } };
}

function componentName(columns: readonly string[], components: readonly number[]): (position: number) => string {
  return (position) => columns[components[position]!]!;
}

const numberText = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/** A cell as a payload value: of the type given, or of the one that its text looks like. */
export function typedCell(text: string, type?: CellType): { readonly value: PayloadValue; readonly fault?: undefined } | { readonly fault: string } {
  switch (type) {
    case 'string':
      return { value: text };
    case 'integer':
    case 'float': {
      const number = text.trim() === '' ? Number.NaN : Number(text);
      const fits = type === 'integer' ? Number.isSafeInteger(number) : Number.isFinite(number);
      return fits ? { value: number } : { fault: `is not ${type === 'integer' ? 'an integer' : 'a finite number'}: "${shorten(text)}"` };
    }
    case 'bool':
      if (/^(true|1)$/i.test(text)) return { value: true };
      return /^(false|0)$/i.test(text) ? { value: false } : { fault: `is neither true nor false: "${shorten(text)}"` };
    case 'json':
      try {
        return { value: JSON.parse(text) as PayloadValue };
      } catch {
        return { fault: `is not JSON: "${shorten(text)}"` };
      }
    case undefined:
      return { value: guessedCell(text) };
  }
}

function guessedCell(text: string): PayloadValue {
  if (text === 'true') return true;
  if (text === 'false') return false;
  if (numberText.test(text)) {
    const number = Number(text);
    // Digits beyond what a number keeps are an identifier rather than a quantity.
    const keeps = /[.eE]/.test(text) ? Number.isFinite(number) : Number.isSafeInteger(number);
    return keeps ? number : text;
  }
  if (/^[[{]/.test(text)) {
    const parsed = typedCell(text, 'json');
    return parsed.fault === undefined ? parsed.value : text;
  }
  return text;
}

export async function openCsvWriter(path: string): Promise<PointWriter> {
  const file = await open(path, 'w');
  await file.writeFile('id,vector,payload,text\n');
  return textWriter(file, (points) => points.map(csvLine).join(''));
}

function csvLine(point: FilePoint): string {
  return `${[point.id, JSON.stringify(shortFloats(point.vector)), JSON.stringify(point.payload), point.text ?? ''].map(csvCell).join(',')}\n`;
}

function csvCell(text: string): string {
  return /[",\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}
