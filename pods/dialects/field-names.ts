/**
 * `VectorApi` names fields in its errors by its own names. Where a dialect calls a field otherwise, a caller would look for
 * a name that it never wrote: the error is told again in the dialect's words.
 */

import { ShoalError } from '../kernel/errors.ts';

/** From the beginning of a field's path in `VectorApi` to that in the dialect: `items` for `feedbackItems`, `ids[0]` for `id`. */
export type FieldNames = Readonly<Record<string, string>>;

export async function withFieldNames<T>(names: FieldNames, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw renamed(error, names);
  }
}

/** The error with the dialect's name in `details.field` and in the message. Any other error as it is. */
export function renamed(error: unknown, names: FieldNames): unknown {
  if (!(error instanceof ShoalError)) return error;
  const { field } = error.details;
  if (typeof field !== 'string') return error;
  const own = Object.keys(names).find((name) => field === name || (field.startsWith(name) && '.['.includes(field[name.length]!)));
  if (own === undefined) return error;
  const given = names[own]! + field.slice(own.length);
  return new ShoalError(error.code, error.message.replaceAll(field, given), { details: { ...error.details, field: given }, cause: error });
}
