/** Errors of another process: the same code, message and details here as there. */

import type { Error as ErrorMessage, ErrorDetail } from '../../proto/gen/shoal/shard/v1/peer.ts';
import { ShoalError, errorTable, type ErrorCode, type ErrorDetails } from '../kernel/errors.ts';

export function encodeError({ code, message, details }: ShoalError): ErrorMessage {
  return { code, message, details: Object.entries(details).map(([name, value]) => ({ name, value: detailMessage(value) })) };
}

/** A code that this version does not know becomes INTERNAL, with the code among the details. */
export function decodeError({ code, message, details }: ErrorMessage): ShoalError {
  const known = Object.fromEntries(details.flatMap(({ name, value }) => (value === undefined ? [] : [[name, detailOf(value)]]))) as ErrorDetails;
  if (Object.hasOwn(errorTable, code)) return new ShoalError(code as ErrorCode, message, { details: known });
  return new ShoalError('INTERNAL', message, { details: { ...known, unknownCode: code } });
}

function detailMessage(value: string | number | boolean): NonNullable<ErrorDetail['value']> {
  switch (typeof value) {
    case 'string':
      return { $case: 'text', text: value };
    case 'number':
      return { $case: 'number', number: value };
    default:
      return { $case: 'flag', flag: value };
  }
}

function detailOf(value: NonNullable<ErrorDetail['value']>): string | number | boolean {
  switch (value.$case) {
    case 'text':
      return value.text;
    case 'number':
      return value.number;
    case 'flag':
      return value.flag;
  }
}
