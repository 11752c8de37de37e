/**
 * Parquet. The vector is a list column, or a column for each component; ids are strings or integers; other columns are
 * payload, a date as its RFC 3339 text, null and NaN (as pandas writes a missing number) as absent. A file that is
 * written here has the columns id, vector (list of float), payload (JSON), text.
 */

import { open, type FileHandle } from 'node:fs/promises';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { parquetMetadataAsync, parquetReadObjects, type AsyncBuffer, type Compressors, type FileMetaData } from 'hyparquet';
import type { Payload, PayloadValue } from '../../domain/point.ts';
import { columnMapping, type ColumnMapping } from './column-mapping.ts';
import { malformed, readFully } from './fixed-rows.ts';
import { vectorFromArray, vectorFromText } from './vector-value.ts';
import { rowPosition, type FilePoint, type FileRow, type PointReader, type PointWriter, type Position, type ReaderOptions, type RowFault } from './point-file.ts';

/** What is read at a time; values take a few times this in memory. A column is decompressed by row groups in any case. */
const sliceBytesTarget = 16 << 20;

/** Snappy and no compression are hyparquet's own. */
const compressors: Compressors = {
  GZIP: (input) => gunzipSync(input),
  BROTLI: (input) => brotliDecompressSync(input),
  ZSTD: (input) => zstdDecompressSync(input),
};

export async function openParquetReader(path: string, options: ReaderOptions): Promise<PointReader> {
  const file = await open(path, 'r');
  try {
    const buffer = await fileBuffer(path, file);
    const metadata = await parquetMetadataAsync(buffer).catch((error: unknown) => {
      throw malformed(path, `is not a whole Parquet file: ${(error as Error).message}`);
    });
    const columns = topColumns(metadata);
    const mapping = columnMapping(path, columns, options);
    const rowCount = Number(metadata.num_rows);
    return {
      unit: 'row',
      begin: rowPosition(0),
      rowCount,
      fractionAt: (position) => (rowCount === 0 ? 1 : position.row / rowCount),
      rows: (from, signal) => readParquet({ path, buffer, metadata, columns, mapping, options }, from, signal),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function fileBuffer(path: string, file: FileHandle): Promise<AsyncBuffer> {
  const { size } = await file.stat();
  const slice = async (start: number, end: number = size): Promise<ArrayBuffer> => {
    const from = start < 0 ? size + start : start;
    const bytes = new ArrayBuffer(Math.max(0, end - from));
    await readFully(file, Buffer.from(bytes), from, path);
    return bytes;
  };
  return { byteLength: size, slice };
}

function topColumns(metadata: FileMetaData): readonly string[] {
  const names: string[] = [];
  for (let i = 1; i < metadata.schema.length; i++) {
    names.push(metadata.schema[i]!.name);
    for (let open = metadata.schema[i]!.num_children ?? 0; open > 0; open--) open += metadata.schema[++i]!.num_children ?? 0;
  }
  return names;
}

interface ParquetFile {
  readonly path: string;
  readonly buffer: AsyncBuffer;
  readonly metadata: FileMetaData;
  readonly columns: readonly string[];
  readonly mapping: ColumnMapping;
  readonly options: ReaderOptions;
}

async function* readParquet(parquet: ParquetFile, from: Position, signal: AbortSignal): AsyncIterable<readonly FileRow[]> {
  let groupStart = 0;
  for (const group of parquet.metadata.row_groups) {
    const groupEnd = groupStart + Number(group.num_rows);
    const rowBytes = Number(group.total_byte_size) / Math.max(1, Number(group.num_rows));
    const rowsPerSlice = Math.max(256, Math.floor(sliceBytesTarget / Math.max(1, rowBytes)));
    for (let begin = Math.max(groupStart, from.row); begin < groupEnd; begin += rowsPerSlice) {
      signal.throwIfAborted();
      yield await readSlice(parquet, begin, Math.min(groupEnd, begin + rowsPerSlice));
    }
    groupStart = groupEnd;
  }
}

async function readSlice(parquet: ParquetFile, rowStart: number, rowEnd: number): Promise<readonly FileRow[]> {
  const { path, buffer, metadata } = parquet;
  const records = await parquetReadObjects({ file: buffer, metadata, rowStart, rowEnd, compressors, useOffsetIndex: true }).catch((error: unknown) => {
    throw malformed(path, `rows ${rowStart} to ${rowEnd - 1} cannot be read: ${(error as Error).message}`);
  });
  return records.map((record, i) => ({ at: rowPosition(rowStart + i), after: rowPosition(rowStart + i + 1), ...pointOfRecord(parquet, record, rowStart + i) }));
}

type PointOrFault = { readonly point: FilePoint } | { readonly fault: RowFault };

function pointOfRecord(parquet: ParquetFile, record: Readonly<Record<string, unknown>>, row: number): PointOrFault {
  const { columns, mapping, options } = parquet;
  const fault = (field: string, message: string): PointOrFault => ({ fault: { code: 'INVALID_ARGUMENT', field, message } });
  const cell = (index: number): unknown => record[columns[index]!];

  let id: unknown = mapping.id === undefined ? `${options.idPrefix ?? ''}${row}` : cell(mapping.id);
  if (typeof id === 'bigint' || Number.isSafeInteger(id)) id = String(id);
  if (typeof id !== 'string') return fault(columns[mapping.id!]!, 'must be a string or an integer');

  const read = vectorOf(mapping, columns, cell);
  if (read.fault !== undefined) return { fault: read.fault };

  const payload: Record<string, PayloadValue> = {};
  const given = mapping.payload === undefined ? undefined : cell(mapping.payload);
  if (given !== undefined && given !== null) {
    const object = typeof given === 'string' ? parsedObject(given) : given;
    if (typeof object !== 'object' || object === null || Array.isArray(object)) return fault(columns[mapping.payload!]!, 'must be a JSON object');
    Object.assign(payload, payloadValue(object));
  }
  for (const { index, name } of mapping.rest) {
    const value = payloadValue(cell(index));
    if (value === beyondNumbers) return fault(name, 'is an integer beyond those that JSON numbers keep exactly (2^53)');
    if (value !== undefined) payload[name] = value;
  }
  const text = mapping.text === undefined ? undefined : cell(mapping.text);
  if (text !== undefined && text !== null && typeof text !== 'string') return fault(columns[mapping.text!]!, 'must be a string');
  return { point: { id, vector: read.vector, payload: payload as Payload, ...(typeof text === 'string' ? { text } : {}) } };
}

function vectorOf(mapping: ColumnMapping, columns: readonly string[], cell: (index: number) => unknown): ReturnType<typeof vectorFromArray> {
  if ('components' in mapping.vector) return vectorFromArray(mapping.vector.components.map(cell), 'vector');
  const name = columns[mapping.vector.whole]!;
  const value = cell(mapping.vector.whole);
  if (typeof value === 'string') return vectorFromText(value, name);
  if (Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))) return vectorFromArray(value as ArrayLike<unknown>, name);
  return { fault: { code: 'INVALID_ARGUMENT', field: name, message: value === undefined || value === null ? 'is missing' : 'must be a list of numbers' } };
}

function parsedObject(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const beyondNumbers = Symbol('beyond numbers');

/** A value as JSON has it; undefined for what is absent. Nested values that cannot be kept make the whole one so. */
function payloadValue(value: unknown): PayloadValue | undefined | typeof beyondNumbers {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : beyondNumbers;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    const items = Array.from(value as ArrayLike<unknown>, (item) => payloadValue(item) ?? null);
    return items.includes(beyondNumbers) ? beyondNumbers : (items as PayloadValue[]);
  }
  const entries = Object.entries(value as object).map(([name, item]) => [name, item === null ? null : payloadValue(item)] as const);
  if (entries.some(([, item]) => item === beyondNumbers)) return beyondNumbers;
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined)) as PayloadValue;
}

const rowGroupBytesTarget = 8 << 20;

export async function openParquetWriter(path: string): Promise<PointWriter> {
  const { ByteWriter, ParquetWriter } = await import('hyparquet-writer');
  const file = await open(path, 'w');
  const bytes = new ByteWriter();
  const flush = async (): Promise<void> => {
    const written = new Uint8Array(bytes.buffer, 0, bytes.index).slice();
    bytes.index = 0;
    await file.writeFile(written);
  };
  const parquet = new ParquetWriter({
    writer: bytes,
    createdBy: 'shoal',
    schema: [
      { name: 'root', num_children: 4 },
      { name: 'id', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
      { name: 'vector', repetition_type: 'REQUIRED', converted_type: 'LIST', num_children: 1 },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' },
      { name: 'payload', type: 'BYTE_ARRAY', converted_type: 'JSON', repetition_type: 'REQUIRED' },
      { name: 'text', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
    ],
  });
  let waiting: FilePoint[] = [];
  let waitingBytes = 0;
  const writeGroup = async (): Promise<void> => {
    await parquet.write({
      rowGroupSize: waiting.length,
      columnData: [
        { name: 'id', data: waiting.map((point) => point.id) },
        { name: 'vector', data: waiting.map((point) => Array.from(point.vector)) },
        { name: 'payload', data: waiting.map((point) => point.payload) },
        { name: 'text', data: waiting.map((point) => point.text ?? null) },
      ],
    });
    waiting = [];
    waitingBytes = 0;
    await flush();
  };
  return {
    async write(points) {
      for (const point of points) {
        waiting.push(point);
        waitingBytes += point.vector.length * 4 + 128;
      }
      if (waitingBytes >= rowGroupBytesTarget) await writeGroup();
    },
    async finish() {
      if (waiting.length > 0) await writeGroup();
      await parquet.finish();
      await flush();
      await file.sync();
      await file.close();
    },
    abandon: () => file.close(),
  };
}
