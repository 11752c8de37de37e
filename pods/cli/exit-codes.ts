/** How a command ends: the exit codes, and what it prints when it fails. */

import { asShoalError, errorTable, type ErrorCode, type ErrorDetails, type ShoalError } from '../kernel/errors.ts';

export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  /** Interrupted: part of the work is done, and the same command goes on. */
  partial: 4,
  notAllowed: 5,
  unreachable: 6,
} as const;

/** For `--help`. */
export const exitCodeHelp = `Exit codes:
  0  done
  1  the server, a file or the data refused or failed
  2  wrong usage
  3  not found (collection, point, key)
  4  interrupted or done in part; the same command goes on
  5  not authenticated, or not allowed
  6  the server cannot be reached, or did not answer in time`;

/** A command line that makes no sense; the message says how it would. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The work was interrupted before it was complete. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return exitCodes.usage;
  if (error instanceof InterruptedError) return exitCodes.partial;
  const { code } = asShoalError(error);
  const { grpc } = errorTable[code];
  if (grpc === 'NOT_FOUND') return exitCodes.notFound;
  if (grpc === 'UNAUTHENTICATED' || grpc === 'PERMISSION_DENIED') return exitCodes.notAllowed;
  if (code === 'CANCELLED') return exitCodes.partial;
  if (code === 'UNAVAILABLE' || code === 'SHUTTING_DOWN' || code === 'DEADLINE_EXCEEDED') return exitCodes.unreachable;
  return exitCodes.failed;
}

export interface Failure {
  readonly code: ErrorCode | 'USAGE' | 'INTERRUPTED' | 'FILE_ERROR';
  readonly message: string;
  readonly hint?: string;
  readonly details?: ErrorDetails;
}

const hints: { readonly [Code in ErrorCode]?: string } = {
  UNAUTHENTICATED: 'give a key by --api-key-file, --api-key or SHOAL_API_KEY',
  PERMISSION_DENIED: 'use a key that allows this action on this collection',
  COLLECTION_NOT_FOUND: 'see: shoal collection list',
  KEY_NOT_FOUND: 'see: shoal key list',
  DEADLINE_EXCEEDED: 'allow more by --timeout',
  COLLECTION_EXISTS: 'see its settings: shoal collection get NAME',
  FIELD_NOT_INDEXED: 'add an index: shoal collection update NAME --payload-index FIELD:TYPE',
  RESPONSE_TOO_LARGE: 'ask for less: a smaller --top-k or --limit, or no --include-vectors',
};

const unreachableHints: Readonly<Record<string, string>> = {
  address: 'is the server running (shoal standalone), is --address right, and does it use TLS (--tls, --ca)?',
  certificate: "name the file of its authority's certificate by --ca",
};

export function failureOf(error: unknown): Failure {
  if (error instanceof UsageError) return { code: 'USAGE', message: error.message, hint: 'see --help' };
  if (error instanceof InterruptedError) return { code: 'INTERRUPTED', message: error.message };
  if (isFileError(error)) return { code: 'FILE_ERROR', message: error.message };
  const known: ShoalError = asShoalError(error);
  const message = known.code === 'INTERNAL' && known.cause instanceof Error ? known.cause.message : known.message;
  const { unreachable } = known.details;
  const hint = typeof unreachable === 'string' ? unreachableHints[unreachable] : hints[known.code];
  return { code: known.code, message, ...(hint === undefined ? {} : { hint }), ...(Object.keys(known.details).length === 0 ? {} : { details: known.details }) };
}

/** ENOENT and its like, from the file system. */
function isFileError(error: unknown): error is Error {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string' && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}

/** One line, for people or for programs. */
export function failureLine(failure: Failure, format: 'json' | 'table'): string {
  if (format === 'json') return JSON.stringify({ error: failure });
  const hint = failure.hint === undefined ? '' : ` (${failure.hint})`;
  return `shoal: ${failure.code}: ${failure.message}${hint}`.replaceAll(/\s*\n\s*/g, ' ');
}
