/** Values of arguments: vectors, JSON, durations. A wrong one is a UsageError that names the option. */

import { readFileSync } from 'node:fs';
import { vectorFromText } from './formats/vector-value.ts';
import { UsageError } from './exit-codes.ts';

/** The text itself, or with a leading @ what the file of that name holds. */
function textOrFile(text: string): string {
  return text.startsWith('@') ? readFileSync(text.slice(1), 'utf8') : text;
}

export function vectorArgument(text: string, option = '--vector'): Float32Array {
  const read = vectorFromText(textOrFile(text), option);
  if (read.fault !== undefined) throw new UsageError(`${read.fault.field ?? option} ${read.fault.message}`);
  if (read.vector.length === 0) throw new UsageError(`${option} is empty`);
  return read.vector;
}

export function jsonObjectArgument(text: string, option: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(textOrFile(text));
  } catch (error) {
    throw new UsageError(`${option} is not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new UsageError(`${option} must be a JSON object`);
  return value as Record<string, unknown>;
}

export function filterArgument(text: string | undefined): Record<string, unknown> | undefined {
  return text === undefined ? undefined : jsonObjectArgument(text, '--filter');
}

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `15m`, `12h`, `30d`. */
export function durationArgument(text: string, option: string): number {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined) throw new UsageError(`${option} must be a number with s, m, h or d, such as 30d; it is "${text}"`);
  return Number(count) * unitMs[unit]!;
}
