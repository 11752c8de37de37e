/** The errors of the log, each made in one place. */

import { ShoalError } from '../kernel/errors.ts';
import { systemErrorCode } from '../kernel/file-system.ts';

export function corruption(file: string, offset: number, because: string): ShoalError {
  return new ShoalError('CORRUPTION', `${file}, offset ${offset}: ${because}`, { details: { file, offset } });
}

/** An error of the file system as one of ours; those that are already ours pass. */
export function unavailable(what: string, error: unknown): ShoalError {
  if (error instanceof ShoalError) return error;
  return new ShoalError('UNAVAILABLE', `${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
}

export function isDiskFull(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}
