/** The operating errors that every store gives. */

import { ShoalError } from '../kernel/errors.ts';

export function closedError(what: string): ShoalError {
  return new ShoalError('UNAVAILABLE', `${what} is closed`);
}

export function corruptionError(message: string, cause?: unknown): ShoalError {
  return new ShoalError('CORRUPTION', message, { cause });
}

export function diskFullError(cause?: unknown): ShoalError {
  return new ShoalError('STORAGE_READ_ONLY', 'the disk is full', { cause });
}

export function diskFailedError(message: string, cause?: unknown): ShoalError {
  return new ShoalError('UNAVAILABLE', message, { cause });
}
