/** A vector out of the forms in which text and column formats hold one. */

import type { RowFault } from './point-file.ts';

export type VectorOrFault = { readonly vector: Float32Array; readonly fault?: undefined } | { readonly fault: RowFault };

/** From an array of numbers (big integers too, as Parquet reads them). */
export function vectorFromArray(values: ArrayLike<unknown>, field: string): VectorOrFault {
  const vector = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    const number = typeof value === 'number' ? value : typeof value === 'bigint' ? Number(value) : undefined;
    if (number === undefined) {
      return { fault: { code: 'INVALID_ARGUMENT', field: `${field}[${i}]`, message: `is not a number: ${shorten(JSON.stringify(value) ?? typeof value)}` } };
    }
    vector[i] = number;
  }
  return finite(vector, field);
}

/** From cells of text, one number each. */
export function vectorFromCells(cells: readonly string[], fieldAt: (position: number) => string): VectorOrFault {
  const vector = new Float32Array(cells.length);
  for (let i = 0; i < cells.length; i++) {
    const cell = cells[i]!;
    const number = cell.trim() === '' ? Number.NaN : Number(cell);
    if (!Number.isFinite(number)) {
      return { fault: { code: notFiniteText.test(cell) ? 'VECTOR_NOT_FINITE' : 'INVALID_ARGUMENT', field: fieldAt(i), message: `is not a finite number: "${shorten(cell)}"` } };
    }
    vector[i] = number;
  }
  return finite(vector, fieldAt(0).replace(/\[0\]$/, ''));
}

/** From one cell of text: a JSON array, or numbers between spaces, commas or semicolons. */
export function vectorFromText(text: string, field: string): VectorOrFault {
  const inner = text.trim().replace(/^\[/, '').replace(/\]$/, '').trim();
  if (inner === '') return { vector: new Float32Array(0) };
  const separator = inner.includes(',') ? ',' : inner.includes(';') ? ';' : /\s+/;
  return vectorFromCells(inner.split(separator), (position) => `${field}[${position}]`);
}

const notFiniteText = /^\s*[+-]?(nan|inf|infinity)\s*$/i;

function finite(vector: Float32Array, field: string): VectorOrFault {
  for (let i = 0; i < vector.length; i++) {
    if (!Number.isFinite(vector[i])) {
      return { fault: { code: 'VECTOR_NOT_FINITE', field: `${field}[${i}]`, message: 'is not a finite 32-bit number' } };
    }
  }
  return { vector };
}

export function shorten(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 37)}...`;
}
