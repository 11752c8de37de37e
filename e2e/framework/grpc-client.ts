/** gRPC calls with a key and a deadline; a failure carries the status and the server's own error code. */

import { Client, credentials, Metadata, status, type ClientReadableStream, type ServiceError } from '@grpc/grpc-js';
import { timeoutsMs } from './timeouts.ts';

/** A method of a generated service definition. */
export interface GrpcMethod<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (value: Buffer) => Response;
}

export class GrpcFailure extends Error {
  /** The name of the gRPC status, such as NOT_FOUND. */
  readonly status: string;
  /** The code of the error table, where the server named one. */
  readonly code: string | undefined;

  constructor(error: ServiceError) {
    super(`${status[error.code]}: ${error.details}`);
    this.status = status[error.code]!;
    this.code = error.metadata?.get('shoal-error-code')[0]?.toString();
  }
}

export interface CallOptions {
  readonly timeoutMs?: number;
}

const large = 64 * 1024 * 1024;

export class GrpcConnection {
  readonly #client: Client;
  readonly #metadata = new Metadata();

  /** `authority`: the name it is asked for by, where that is not its address. */
  constructor(address: string, key: string | undefined, authority?: string) {
    this.#client = new Client(address, credentials.createInsecure(), {
      ...(authority === undefined ? {} : { 'grpc.default_authority': authority }),
      // What is between may vanish with a connection open.
      ...(authority === undefined ? {} : { 'grpc.keepalive_time_ms': 2_000, 'grpc.keepalive_timeout_ms': 2_000 }),
      'grpc.max_receive_message_length': large,
      'grpc.max_send_message_length': large,
      'grpc.enable_http_proxy': 0,
      // Two connections of one test to one server are two channels.
      'grpc.use_local_subchannel_pool': 1,
      // By itself a channel waits a second and more between attempts to connect, and fails what is sent meanwhile at once.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 300,
    });
    if (key !== undefined) this.#metadata.set('authorization', `Bearer ${key}`);
  }

  call<Request, Response>(method: GrpcMethod<Request, Response>, request: Request, options: CallOptions = {}): Promise<Response> {
    return this.callBytes(method.path, method.requestSerialize(request), options).then((bytes) => method.responseDeserialize(bytes));
  }

  /** A call of any path with any bytes, for what a generated client would not send. */
  callBytes(path: string, request: Buffer, { timeoutMs = timeoutsMs.request }: CallOptions = {}): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const same = (bytes: Buffer): Buffer => bytes;
      this.#client.makeUnaryRequest(path, same, same, request, this.#metadata, { deadline: Date.now() + timeoutMs }, (error, response) => {
        if (error !== null) reject(new GrpcFailure(error));
        else resolve(response!);
      });
    });
  }

  async *stream<Request, Response>(method: GrpcMethod<Request, Response>, request: Request, { timeoutMs = timeoutsMs.request }: CallOptions = {}): AsyncGenerator<Response> {
    const call: ClientReadableStream<Response> = this.#client.makeServerStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, request, this.#metadata, {
      deadline: Date.now() + timeoutMs,
    });
    try {
      for await (const message of call) yield message as Response;
    } catch (error) {
      throw new GrpcFailure(error as ServiceError);
    } finally {
      call.cancel();
    }
  }

  close(): void {
    this.#client.close();
  }
}
