/**
 * RocksDB's errors in our terms. The binding gives a code of the operating system's kind and RocksDB's text, but not
 * RocksDB's own status: bad blocks and failed system calls are both EIO. They are told apart by the form of the text:
 * a failed system call reads "While <doing what>: <path>: <the system's words>"; all else under EIO is a failed check.
 */

import { ShoalError } from '../kernel/errors.ts';
import { closedError, corruptionError, diskFailedError, diskFullError } from './storage-errors.ts';

/** `doing` completes the sentence "RocksDB failed while …". */
export function rocksdbError(error: unknown, doing: string): ShoalError {
  if (error instanceof ShoalError) return error;
  const { code, text } = innermost(error);
  const message = `RocksDB failed while ${doing}: ${text}`;
  if (/no space left on device|max allowed space was reached|disk quota exceeded/i.test(text)) return diskFullError(error);
  if (/lock hold by current process|while lock file/i.test(text)) {
    const lock = /\S*LOCK\b/.exec(text)?.[0] ?? 'its lock';
    return new ShoalError('UNAVAILABLE', `the store is in use: somebody else, most likely another server on the same data directory, holds ${lock}`, { cause: error });
  }
  if (/session is closed|batch is destroyed/i.test(text)) return closedError('the store');
  // A file that the store's own catalogue names is gone.
  if (code === 'ENOENT') return corruptionError(message, error);
  if (code !== 'EIO') return new ShoalError('INTERNAL', message, { cause: error });
  return /^(IO error: )?while /i.test(text) ? diskFailedError(message, error) : corruptionError(message, error);
}

/** The binding wraps the error of a batch in one without a code. */
function innermost(error: unknown): { code: string; text: string } {
  let inner = error;
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause;
  if (!(inner instanceof Error)) return { code: '', text: String(inner) };
  return { code: 'code' in inner && typeof inner.code === 'string' ? inner.code : '', text: inner.message };
}
