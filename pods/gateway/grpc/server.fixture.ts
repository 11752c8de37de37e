/** A server with a few methods of bytes, and a client that is no gRPC library: it sends what a test wants, right or wrong. */

import { connect as connectHttp2, constants } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { systemClock } from '../../kernel/clock.ts';
import { grpcStatus } from '../../kernel/errors.ts';
import type { Call, CallHandler, Method } from './call.ts';
import { HttpGrpcServer } from './server.ts';
import type { ServerBounds, ServerOptions } from './server.ts';

export interface TestServer {
  readonly server: HttpGrpcServer;
  readonly port: number;
  /** Calls of Hold that run, and what Flood has written. */
  readonly held: Call[];
  readonly seen: { cancelled: number; written: number };
}

const bounds: ServerBounds = {
  messageBytesMax: 1_000_000,
  answerTimeoutMs: 60_000,
  keepAliveTimeoutMs: 60_000,
  headersTimeoutMs: 10_000,
  connectionsMax: 100,
  streamsPerConnectionMax: 50,
  headerBytesMax: 16 * 1024,
  streamWindowBytes: 100_000,
  connectionWindowBytes: 400_000,
  connectionMebibytesMax: 64,
};

export async function startTestServer(own: Partial<ServerBounds> = {}, options: Partial<ServerOptions> = {}): Promise<TestServer> {
  const held: Call[] = [];
  const seen = { cancelled: 0, written: 0 };
  const method = (onMessage: (call: Call, bytes: Buffer) => void, more: Partial<CallHandler> & { requestStream?: boolean } = {}): Method => ({
    requestStream: more.requestStream ?? false,
    start: (call) => ({
      onMessage: (bytes) => onMessage(call, bytes),
      onMessagesEnd: () => call.end(0, ''),
      onBadRequest: (error) => call.end(grpcStatus[error.class.grpc], error.message, { 'shoal-error-code': error.code }),
      onCancel: () => void seen.cancelled++,
      ...more,
    }),
  });
  const methods = new Map<string, Method>([
    ['/t.T/Echo', method((call, bytes) => call.answer(bytes, { 'x-of': 'echo' }))],
    ['/t.T/Hold', method((call) => void held.push(call))],
    ['/t.T/First', method((call, bytes) => (call.write(bytes), void held.push(call)))],
    ['/t.T/Each', method((call, bytes) => void call.write(bytes), { requestStream: true })],
    ['/t.T/Enough', method((call, bytes) => (call.write(bytes), call.end(9, 'enough')), { requestStream: true })],
    ['/t.T/Stuck', method((call) => (call.holdBack(), void held.push(call)), { requestStream: true })],
    ['/t.T/Large', method((call, bytes) => call.answer(Buffer.alloc(Number(bytes.toString()), 7)))],
    ['/t.T/Fail', method((call, bytes) => call.end(grpcStatus.NOT_FOUND, bytes.toString(), { 'x-of': 'fail' }))],
    ['/t.T/Flood', method((call, bytes) => flood(call, Number(bytes.toString()), seen))],
  ]);
  const server = new HttpGrpcServer({ host: '127.0.0.1', port: 0, tls: undefined, methods, clock: systemClock, bounds: { ...bounds, ...own }, ...options });
  return { server, port: await server.listen(), held, seen };
}

/** So many messages of 10 kB, no faster than they are read. */
function flood(call: Call, count: number, seen: { written: number }): void {
  while (count-- > 0) {
    seen.written++;
    if (!call.write(Buffer.alloc(10_000, 1))) return call.onceDrained(() => flood(call, count, seen));
  }
  call.end(0, '');
}

export interface RawAnswer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  /** Status of gRPC, wherever it stood. */
  readonly status: string | undefined;
  readonly isTrailersOnly: boolean;
  readonly messages: readonly Buffer[];
  readonly resetCode: number;
}

export interface RawCall {
  readonly stream: ClientHttp2Stream;
  /** When the stream is closed, in whatever way. */
  readonly answer: Promise<RawAnswer>;
}

export interface RawClient {
  readonly session: ClientHttp2Session;
  open(path: string, headers?: OutgoingHttpHeaders): RawCall;
  /** Sends the bytes as they are, and ends the request. */
  call(path: string, body: Buffer, headers?: OutgoingHttpHeaders): Promise<RawAnswer>;
}

export function connect(port: number, options: Parameters<typeof connectHttp2>[1] = {}): RawClient {
  const session = connectHttp2(`http://127.0.0.1:${port}`, options);
  session.on('error', () => undefined);
  const open = (path: string, headers: OutgoingHttpHeaders = {}): RawCall => {
    const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...headers }, { endStream: false });
    return { stream, answer: answerOf(stream) };
  };
  return {
    session,
    open,
    call(path, body, headers) {
      const { stream, answer } = open(path, headers);
      stream.end(body);
      return answer;
    },
  };
}

function answerOf(stream: ClientHttp2Stream): Promise<RawAnswer> {
  let headers: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  let isTrailersOnly = false;
  const chunks: Buffer[] = [];
  stream.on('error', () => undefined);
  stream.on('response', (received, flags) => {
    headers = received;
    isTrailersOnly = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
  });
  stream.on('trailers', (received) => void (trailers = received));
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve) =>
    stream.on('close', () => {
      const status = (trailers['grpc-status'] ?? headers['grpc-status']) as string | undefined;
      resolve({ headers, trailers, status, isTrailersOnly, messages: messagesIn(Buffer.concat(chunks)), resetCode: stream.rstCode ?? 0 });
    }),
  );
}

export function framedWith(flag: number, message: Buffer | string): Buffer {
  const bytes = Buffer.from(message);
  const prefix = Buffer.from([flag, 0, 0, 0, 0]);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

function messagesIn(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    messages.push(bytes.subarray(at + 5, end));
    at = end;
  }
  return messages;
}
