/** Vectron's public API: gRPC `vectron.v1.VectronService` and `vectron.auth.v1.AuthService`, and the same as JSON under `/v1`. */

import { grpcStatus, type ErrorCode, type GrpcStatusName, type ShoalError } from '../../kernel/errors.ts';
import type { Dialect, HttpReply } from '../dialect.ts';
import { mergedDefinitions } from '../json-decoder.ts';
import { authRoutes, authService } from './vectron-auth.ts';
import { vectronRoutes } from './vectron-routes.ts';
import { vectronService } from './vectron-service.ts';

export const vectronDialect: Dialect = {
  name: 'vectron',
  title: 'Vectron',
  mounts: ['/v1'],
  routes: [...vectronRoutes.map(({ route }) => route), ...authRoutes],
  services: [vectronService, authService],
  schemas: mergedDefinitions(vectronRoutes.map(({ definitions }) => definitions)),
  encodeError,
};

/** HTTP statuses of gRPC's codes, as google.rpc.Code documents them. */
const httpStatus: Readonly<Record<GrpcStatusName, number>> = {
  CANCELLED: 499,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 400,
  ABORTED: 409,
  OUT_OF_RANGE: 400,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  DATA_LOSS: 500,
  UNAUTHENTICATED: 401,
};

/** What HTTP says before there is a call: a status of a code would mislead (429 asks a client to try again). */
const ofHttpItself: readonly ErrorCode[] = ['METHOD_NOT_ALLOWED', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'];

function encodeError(error: ShoalError, requestId: string): HttpReply {
  const { code, message, details } = error;
  const { http, grpc } = error.class;
  const metadata = Object.fromEntries(Object.entries({ ...details, requestId }).map(([key, value]) => [key, String(value)]));
  return {
    status: ofHttpItself.includes(code) ? http : httpStatus[grpc],
    body: { code: grpcStatus[grpc], message, details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: code, domain: 'shoal', metadata }] },
  };
}
