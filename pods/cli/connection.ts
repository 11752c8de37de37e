/** The way to the server: gRPC calls of shoal.v1 with the credential, a deadline, and errors as ShoalErrors. */

import { readFile } from 'node:fs/promises';
import { Client, credentials, Metadata, type ChannelCredentials, type ServiceError } from '@grpc/grpc-js';
import { errorTable, grpcStatus, ShoalError, type ErrorCode } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { UsageError } from './exit-codes.ts';
import type { CommandContext, GlobalOptions, Terminal } from './terminal.ts';

/** A method of a generated service definition. */
export interface UnaryMethod<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (value: Buffer) => Response;
}

export interface Connection {
  /** Rejects with a ShoalError, or the signal's reason. */
  call<Request, Response>(method: UnaryMethod<Request, Response>, request: Request, options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<Response>;
  close(): void;
}

/** Runs an action on a connection, which is closed whatever comes. */
export async function withConnection<Result>(context: CommandContext, action: (connection: Connection) => Promise<Result>): Promise<Result> {
  const connection = await connect(context);
  try {
    return await action(connection);
  } finally {
    connection.close();
  }
}

async function connect({ terminal, options }: CommandContext): Promise<Connection> {
  const metadata = new Metadata();
  const key = await apiKeyOf(options, terminal);
  if (key !== undefined) metadata.set('authorization', `Bearer ${key}`);
  const client = new Client(options.address, await channelCredentials(options), {
    'grpc.max_receive_message_length': limits.grpcMessageBytesMax,
    'grpc.max_send_message_length': limits.grpcMessageBytesMax,
    // A proxy of the environment is meant for the web, and does not know a server on this machine.
    'grpc.enable_http_proxy': 0,
    // A call fails at once when nobody listens; waiting and trying again is the command's decision.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
  });
  const timeoutMsDefault = options.timeout === undefined ? limits.requestTimeoutMsDefault : options.timeout * 1_000;
  return {
    call: (method, request, { timeoutMs = timeoutMsDefault, signal = terminal.signal } = {}) =>
      unaryCall(client, method, request, metadata, terminal.clock.nowMs() + (options.timeout === undefined ? timeoutMs : timeoutMsDefault), signal),
    close: () => client.close(),
  };
}

function unaryCall<Request, Response>(client: Client, method: UnaryMethod<Request, Response>, request: Request, metadata: Metadata, deadline: number, signal: AbortSignal): Promise<Response> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const call = client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, request, metadata, { deadline }, (error, response) => {
      signal.removeEventListener('abort', onAbort);
      if (error !== null) reject(signal.aborted ? (signal.reason as Error) : asOperatingError(error));
      else if (response === undefined) reject(new ShoalError('INTERNAL', 'the server answered nothing'));
      else resolve(response);
    });
    const onAbort = (): void => call.cancel();
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** The code that the server named, else the one that the gRPC status stands for (the library's own errors have no more). */
function asOperatingError(error: ServiceError): ShoalError {
  const named = error.metadata?.get('shoal-error-code')[0];
  const code = typeof named === 'string' && named in errorTable ? (named as ErrorCode) : codeOfStatus(error.code);
  const retryAfterMs = Number(error.metadata?.get('retry-after-ms')[0]);
  const connection = connectionFault(error);
  const details = { ...(Number.isFinite(retryAfterMs) ? { retryAfterMs } : {}), ...(connection === undefined ? {} : { unreachable: connection.because }) };
  return new ShoalError(code, connection === undefined ? error.details || error.message : `no connection: ${connection.message}`, { details, cause: error });
}

/** A connection that could not be made, without the trimmings of the library's message; it has no other sign of it. */
function connectionFault(error: ServiceError): { message: string; because: 'certificate' | 'address' } | undefined {
  const text = /Last error: (?:Error: )?(.*?)\.? *(?:Resolution note:.*)?$/s.exec(error.details || error.message)?.[1];
  if (text === undefined) return undefined;
  const ofTls = /SSL routines:[^:]*:([^:]+):/.exec(text)?.[1];
  if (ofTls !== undefined) return { message: `TLS failed: ${ofTls}`, because: 'address' };
  const message = text.replace(/; if the root CA.*$/, '').replace(/ \(\d{4}-\d\d-\d\dT[^)]*\)$/, '');
  return { message, because: /certificate|altnames/i.test(text) ? 'certificate' : 'address' };
}

const plainCodes: readonly ErrorCode[] = ['UNAVAILABLE', 'INVALID_ARGUMENT', 'UNAUTHENTICATED', 'PERMISSION_DENIED', 'DEADLINE_EXCEEDED', 'CANCELLED', 'UNIMPLEMENTED', 'OVERLOADED', 'CORRUPTION', 'CONFLICT'];

function codeOfStatus(status: number): ErrorCode {
  return plainCodes.find((code) => grpcStatus[errorTable[code].grpc] === status) ?? 'INTERNAL';
}

async function apiKeyOf(options: GlobalOptions, terminal: Terminal): Promise<string | undefined> {
  if (options.apiKey !== undefined && options.apiKeyFile !== undefined) throw new UsageError('--api-key and --api-key-file exclude each other');
  const key = options.apiKey ?? (options.apiKeyFile === undefined ? terminal.environment['SHOAL_API_KEY'] : await readFile(options.apiKeyFile, 'utf8'));
  const trimmed = key?.trim();
  return trimmed === undefined || trimmed === '' ? undefined : trimmed;
}

async function channelCredentials(options: GlobalOptions): Promise<ChannelCredentials> {
  const secure = options.tls === true || options.ca !== undefined || options.insecureSkipVerify === true;
  if (!secure) return credentials.createInsecure();
  const authority = options.ca === undefined ? null : await readFile(options.ca);
  return credentials.createSsl(authority, null, null, options.insecureSkipVerify === true ? { rejectUnauthorized: false, checkServerIdentity: () => undefined } : {});
}
