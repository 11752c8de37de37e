/** Finds a file's format and opens it; the code of a format is loaded when it is used. */

import { ShoalError } from '../../kernel/errors.ts';
import type { ByteOrigin } from './byte-lines.ts';
import { formatNames, type FormatName, type PointReader, type PointWriter, type ReaderOptions } from './point-file.ts';

const otherEndings: Readonly<Record<string, FormatName>> = { ndjson: 'jsonl', pq: 'parquet' };

/** By the ending of the name; undefined when it tells nothing. */
export function formatOf(path: string): FormatName | undefined {
  const ending = /\.([a-z0-9]+)$/i.exec(path)?.[1]?.toLowerCase() ?? '';
  return formatNames.find((name) => name === ending) ?? otherEndings[ending];
}

export async function openReader(format: FormatName, origin: ByteOrigin, options: ReaderOptions): Promise<PointReader> {
  if (format === 'jsonl') return (await import('./jsonl.ts')).openJsonlReader(origin, options);
  if (format === 'csv') return (await import('./csv.ts')).openCsvReader(origin, options);
  if (typeof origin !== 'string') {
    throw new ShoalError('INVALID_ARGUMENT', `${format} is read by position, which standard input does not allow; give it a file, or use jsonl or csv`);
  }
  switch (format) {
    case 'fvecs':
    case 'ivecs':
    case 'bvecs':
      return (await import('./vecs.ts')).openVecsReader(format, origin, options);
    case 'npy':
      return (await import('./npy.ts')).openNpyReader(origin, options);
    case 'parquet':
      return (await import('./parquet.ts')).openParquetReader(origin, options);
  }
}

export async function openWriter(format: FormatName, path: string): Promise<PointWriter> {
  switch (format) {
    case 'jsonl':
      return (await import('./jsonl.ts')).openJsonlWriter(path);
    case 'csv':
      return (await import('./csv.ts')).openCsvWriter(path);
    case 'fvecs':
    case 'ivecs':
    case 'bvecs':
      return (await import('./vecs.ts')).openVecsWriter(format, path);
    case 'npy':
      return (await import('./npy.ts')).openNpyWriter(path);
    case 'parquet':
      return (await import('./parquet.ts')).openParquetWriter(path);
  }
}

/** Whether a format keeps more than vectors. */
export function keepsIds(format: FormatName): boolean {
  return format === 'jsonl' || format === 'csv' || format === 'parquet';
}
