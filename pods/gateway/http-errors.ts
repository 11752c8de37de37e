/** From what goes wrong before or around a handler to an error of the table, and from that to the answer of the dialect that owns the path. */

import type { Dialect, HttpReply } from '../dialects/dialect.ts';
import { ShoalError, asShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';

/** Errors of the HTTP framework by their codes; whatever else it reports about a request is a malformed body. */
export function fromFramework(error: unknown): ShoalError {
  const { code, statusCode } = error as { code?: unknown; statusCode?: unknown };
  if (error instanceof ShoalError || typeof code !== 'string' || !code.startsWith('FST_')) return asShoalError(error);
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new ShoalError('BODY_TOO_LARGE', 'the body is larger than this route takes; send smaller batches', { details: { limit: limits.httpBodyBytesMax } });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return unsupportedMediaType();
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new ShoalError('MALFORMED_BODY', 'the body is not as long as its Content-Length');
    case 'FST_ERR_BAD_URL':
      return new ShoalError('INVALID_ARGUMENT', 'the URL is not validly percent-encoded');
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new ShoalError('ROUTE_NOT_FOUND', 'a part of the path is longer than any name or id');
    default:
      return typeof statusCode === 'number' && statusCode < 500 ? new ShoalError('MALFORMED_BODY', 'the request could not be read') : asShoalError(error);
  }
}

/** Errors of the HTTP parser, before there is a request. */
export function fromParser(code: string | undefined): ShoalError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new ShoalError('INVALID_ARGUMENT', `the headers are larger than ${limits.headerBytesMax} bytes`, { details: { limit: limits.headerBytesMax } });
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new ShoalError('DEADLINE_EXCEEDED', 'the request did not arrive in time');
    default:
      return new ShoalError('MALFORMED_BODY', 'the request is not valid HTTP');
  }
}

export function unsupportedMediaType(): ShoalError {
  return new ShoalError('UNSUPPORTED_MEDIA_TYPE', 'this route takes a body of type application/json');
}

/** The reply with what every error carries, whatever the dialect: the request id, and how long to wait where a retry helps. */
export function errorReply(dialect: Dialect, error: ShoalError, requestId: string): HttpReply {
  const reply = dialect.encodeError(error, requestId);
  const headers: Record<string, string> = { ...reply.headers, 'x-request-id': requestId };
  if (retryAfterMs(error) !== undefined) headers['retry-after'] = String(Math.ceil(limits.retryAfterMs / 1_000));
  if (error.code === 'UNAUTHENTICATED') headers['www-authenticate'] = 'Bearer';
  return { ...reply, headers };
}

export function retryAfterMs(error: ShoalError): number | undefined {
  return error.class.retry === 'after-backoff' ? limits.retryAfterMs : undefined;
}

/** An answer whose exact size is known. */
export function responseTooLarge(bytes: number): ShoalError {
  return new ShoalError('RESPONSE_TOO_LARGE', `the answer has ${bytes} bytes, and ${limits.responseBytesMax} is the limit; ask for fewer results or a smaller page, or leave vectors out`, {
    details: { limit: limits.responseBytesMax, bytes },
  });
}

/** The dialect whose mount is the longest that the path begins with, at a segment's end. */
export function dialectFinder(dialects: readonly Dialect[], fallback: Dialect): (path: string) => Dialect {
  const mounts = dialects.flatMap((dialect) => dialect.mounts.map((mount) => ({ mount: mount.replace(/\/+$/, ''), dialect }))).sort((a, b) => b.mount.length - a.mount.length);
  return (path) => mounts.find(({ mount }) => path.startsWith(mount) && (path.length === mount.length || '/?'.includes(path[mount.length]!)))?.dialect ?? fallback;
}

/** A port that cannot be had is the operator's to mend: said in a sentence, not as a defect. */
export function cannotListen(protocol: 'HTTP' | 'gRPC', host: string, port: number, cause: unknown): ShoalError {
  const inUse = String((cause as { code?: unknown; message?: unknown }).code ?? '').includes('EADDRINUSE') || String((cause as Error).message).includes('EADDRINUSE');
  const why = inUse ? 'another process listens there' : String((cause as Error).message);
  return new ShoalError('UNAVAILABLE', `cannot listen for ${protocol} on ${host}:${port}: ${why}`, { details: { field: protocol === 'HTTP' ? 'http-port' : 'grpc-port' }, cause });
}
