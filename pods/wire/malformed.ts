/** What another process sent cannot be understood. */

import { ShoalError } from '../kernel/errors.ts';

export function malformed(what: string, cause?: unknown): ShoalError {
  return new ShoalError('MALFORMED_BODY', `a message of another process is malformed: ${what}`, { cause });
}

/** The field, which is always there in a message that this version's encoder wrote. */
export function required<Value>(value: Value | undefined, name: string): Value {
  if (value === undefined) throw malformed(`${name} is missing`);
  return value;
}
