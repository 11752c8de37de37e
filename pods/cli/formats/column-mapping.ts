/** Which columns of a table make the id, the vector, the payload and the text of a point (CSV and Parquet). */

import { ShoalError } from '../../kernel/errors.ts';
import type { ReaderOptions } from './point-file.ts';

export interface ColumnMapping {
  /** Undefined: ids are made from `idPrefix` and the row's number. */
  readonly id: number | undefined;
  /** One column that holds whole vectors, or several that hold a component each. */
  readonly vector: { readonly whole: number } | { readonly components: readonly number[] };
  /** A column that holds the payload as one JSON object. */
  readonly payload: number | undefined;
  readonly text: number | undefined;
  /** Everything else: a payload key each. */
  readonly rest: readonly { readonly index: number; readonly name: string }[];
}

/** INVALID_ARGUMENT that names the column when one that was asked for, or is needed, is not there. */
export function columnMapping(file: string, columns: readonly string[], options: ReaderOptions): ColumnMapping {
  const missing = (name: string, hint: string): ShoalError =>
    new ShoalError('INVALID_ARGUMENT', `${file}: has no column "${name}" (it has ${listed(columns)}); ${hint}`, { details: { file, field: name } });
  const find = (name: string | undefined, fallback: string, hint: string): number | undefined => {
    const index = columns.indexOf(name ?? fallback);
    if (index === -1 && name !== undefined) throw missing(name, hint);
    return index === -1 ? undefined : index;
  };
  const repeated = columns.find((name, index) => columns.indexOf(name) !== index);
  if (repeated !== undefined) throw new ShoalError('INVALID_ARGUMENT', `${file}: has two columns "${repeated}"`, { details: { file, field: repeated } });

  const id = find(options.idColumn, 'id', 'check --id-column');
  if (id === undefined && options.idPrefix === undefined) throw missing('id', 'name the one with the ids by --id-column, or have them made by --id-prefix');
  const vector = vectorColumns(columns, options, missing);
  const payload = find(options.payloadColumn, 'payload', 'check --payload-column');
  const text = find(options.textColumn, 'text', 'check --text-column');
  const used = new Set([id, payload, text, ...('whole' in vector ? [vector.whole] : vector.components)]);
  const rest = columns.map((name, index) => ({ name, index })).filter(({ index }) => !used.has(index));
  return { id, vector, payload, text, rest };
}

function vectorColumns(columns: readonly string[], options: ReaderOptions, missing: (name: string, hint: string) => ShoalError): ColumnMapping['vector'] {
  if (options.vectorColumns === undefined) {
    const name = options.vectorColumn ?? 'vector';
    const whole = columns.indexOf(name);
    if (whole === -1) throw missing(name, 'name it by --vector-column, or the columns of its components by --vector-columns first..last');
    return { whole };
  }
  const { first, last } = options.vectorColumns;
  const begin = columns.indexOf(first);
  const end = columns.indexOf(last);
  if (begin === -1) throw missing(first, 'check --vector-columns');
  if (end === -1) throw missing(last, 'check --vector-columns');
  if (end < begin) throw missing(`${first}..${last}`, `"${last}" stands before "${first}"`);
  return { components: Array.from({ length: end - begin + 1 }, (_, offset) => begin + offset) };
}

function listed(columns: readonly string[]): string {
  const shown = columns.slice(0, 8).map((name) => `"${name}"`).join(', ');
  return columns.length > 8 ? `${shown} and ${columns.length - 8} more` : shown;
}
