/**
 * The one table of errors. Every error that a caller can meet has a stable code here; its HTTP status, its gRPC
 * status, and whether sending the same request again helps are looked up in the table, never guessed from a message.
 */

/** gRPC status codes by name; the numbers are those of the gRPC specification. */
export const grpcStatus = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;
export type GrpcStatusName = keyof typeof grpcStatus;

/** What a client should do: never send it again, send it again after a wait, or re-read and decide. */
export type RetryAdvice = 'never' | 'after-backoff' | 'after-reading';

export interface ErrorClass {
  readonly http: number;
  readonly grpc: GrpcStatusName;
  readonly retry: RetryAdvice;
  /** One sentence for the documentation. */
  readonly meaning: string;
}

const badRequest = (meaning: string): ErrorClass => ({ http: 400, grpc: 'INVALID_ARGUMENT', retry: 'never', meaning });
const notFound = (meaning: string): ErrorClass => ({ http: 404, grpc: 'NOT_FOUND', retry: 'never', meaning });
const unavailable = (meaning: string): ErrorClass => ({ http: 503, grpc: 'UNAVAILABLE', retry: 'after-backoff', meaning });

export const errorTable = {
  INVALID_ARGUMENT: badRequest('A field has a value that is not allowed; the message names the field and the limit.'),
  UNKNOWN_FIELD: badRequest('The body has a field that this request does not know.'),
  MALFORMED_BODY: badRequest('The body could not be parsed.'),
  INVALID_NAME: badRequest('A collection, field or key name is empty, too long, or has characters that are not allowed.'),
  INVALID_ID: badRequest('A point id is empty, too long, or not valid Unicode.'),
  DUPLICATE_ID: badRequest('One batch names the same point id twice.'),
  VECTOR_EMPTY: badRequest('A vector has no components.'),
  VECTOR_NOT_FINITE: badRequest('A vector has a component that is NaN or infinite.'),
  VECTOR_ZERO: badRequest('A zero vector has no direction, so the cosine metric refuses it.'),
  DIMENSION_MISMATCH: badRequest("A vector's length differs from the collection's dimension."),
  PAYLOAD_TOO_LARGE: badRequest('A payload is larger than the limit.'),
  PAYLOAD_TOO_DEEP: badRequest('A payload is nested more deeply than the limit.'),
  BATCH_TOO_LARGE: badRequest('One request holds more items than the limit.'),
  FILTER_INVALID: badRequest('A filter is malformed or has more conditions than the limit.'),
  FIELD_NOT_INDEXED: {
    http: 400,
    grpc: 'FAILED_PRECONDITION',
    retry: 'never',
    meaning: 'A filter names a payload field without an index, and the shard is too large to scan; add a payload index.',
  },
  BODY_TOO_LARGE: {
    http: 413,
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'never',
    meaning: 'The request is larger than the limit; send smaller batches.',
  },
  RESPONSE_TOO_LARGE: {
    http: 400,
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'never',
    meaning: 'The answer would be larger than a client accepts by default; lower top_k or leave vectors out.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    http: 415,
    grpc: 'INVALID_ARGUMENT',
    retry: 'never',
    meaning: 'The content type of the body is not one that this route takes.',
  },
  COLLECTION_NOT_FOUND: notFound('No collection has this name.'),
  POINT_NOT_FOUND: notFound('No point has this id.'),
  KEY_NOT_FOUND: notFound('No API key has this prefix.'),
  TRANSFER_NOT_FOUND: notFound('The sender of a snapshot has dropped the transfer; the receiving pod starts over (rule T1).'),
  ROUTE_NOT_FOUND: notFound('No route has this path.'),
  METHOD_NOT_ALLOWED: {
    http: 405,
    grpc: 'UNIMPLEMENTED',
    retry: 'never',
    meaning: 'The path exists, but not with this method; the Allow header names those it has.',
  },
  COLLECTION_EXISTS: {
    http: 409,
    grpc: 'ALREADY_EXISTS',
    retry: 'never',
    meaning: 'A collection of this name exists with other settings.',
  },
  COLLECTION_LIMIT: {
    http: 429,
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'never',
    meaning: 'The number of collections has reached the limit.',
  },
  CONDITION_FAILED: {
    http: 409,
    grpc: 'FAILED_PRECONDITION',
    retry: 'after-reading',
    meaning: "A conditional write did not match the point's present state; nothing was written.",
  },
  CONFLICT: {
    http: 409,
    grpc: 'ABORTED',
    retry: 'after-reading',
    meaning: 'Somebody else changed the object meanwhile (compare-and-swap failed).',
  },
  REQUEST_TOO_OLD: {
    http: 409,
    grpc: 'FAILED_PRECONDITION',
    retry: 'never',
    meaning: 'The request number lies at or below what is remembered of this client, so it cannot be told from a repeat (rule D1); it was not applied.',
  },
  UNAUTHENTICATED: {
    http: 401,
    grpc: 'UNAUTHENTICATED',
    retry: 'never',
    meaning: 'No valid credential came with the request.',
  },
  PERMISSION_DENIED: {
    http: 403,
    grpc: 'PERMISSION_DENIED',
    retry: 'never',
    meaning: 'The credential does not allow this action on this collection.',
  },
  OVERLOADED: {
    http: 429,
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'after-backoff',
    meaning: 'A queue is full; nothing of the request was done.',
  },
  STORAGE_READ_ONLY: {
    http: 503,
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'after-backoff',
    meaning: 'The disk is nearly full, so writes that add data are refused; reads, searches and deletes go on.',
  },
  NOT_ENOUGH_IN_SYNC: unavailable('Fewer replicas are in sync than minInSync asks for; nothing was written (rule W5).'),
  NOT_PRIMARY: unavailable('This replica is not the primary of the shard; refresh the cluster map.'),
  NOT_IN_SYNC: unavailable('This replica is not in sync, or does not know yet that it is; ask another one.'),
  STALE_EPOCH: unavailable('The request was routed by an old cluster map; refresh it.'),
  UNAVAILABLE: unavailable('A part that the request needs is not serving at the moment.'),
  SHUTTING_DOWN: unavailable('The process is shutting down and takes no new requests.'),
  OUTCOME_UNKNOWN: {
    http: 503,
    grpc: 'UNAVAILABLE',
    retry: 'after-backoff',
    meaning: 'The write may or may not have happened; send it again with the same client id and request number.',
  },
  DEADLINE_EXCEEDED: {
    http: 504,
    grpc: 'DEADLINE_EXCEEDED',
    retry: 'after-backoff',
    meaning: 'The deadline passed before the answer was complete; a write may still happen.',
  },
  CANCELLED: { http: 499, grpc: 'CANCELLED', retry: 'never', meaning: 'The client went away.' },
  CORRUPTION: {
    http: 500,
    grpc: 'DATA_LOSS',
    retry: 'never',
    meaning: 'Stored data failed its checksum; it is reported, never served (rule F1).',
  },
  FORMAT_TOO_NEW: {
    http: 500,
    grpc: 'FAILED_PRECONDITION',
    retry: 'never',
    meaning: 'The data directory was written by a newer version.',
  },
  UNIMPLEMENTED: { http: 501, grpc: 'UNIMPLEMENTED', retry: 'never', meaning: 'This server does not offer the operation.' },
  INTERNAL: { http: 500, grpc: 'INTERNAL', retry: 'never', meaning: 'A defect; the log has the details under the request id.' },
} as const satisfies Record<string, ErrorClass>;

export type ErrorCode = keyof typeof errorTable;

/** Facts about an error that a program can read: the field, its limit, what was found. Never a secret. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>;

/** An operating error: something a caller, a disk or a network did. A programmer's error is a failed assertion. */
export class ShoalError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { details?: ErrorDetails; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ShoalError';
    this.code = code;
    this.details = options.details ?? {};
  }

  get class(): ErrorClass {
    return errorTable[this.code];
  }
}

/** The error itself when it is one of ours, else INTERNAL with the original as its cause. */
export function asShoalError(error: unknown): ShoalError {
  if (error instanceof ShoalError) return error;
  return new ShoalError('INTERNAL', 'internal error', { cause: error });
}

export function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof ShoalError && error.code === code;
}
