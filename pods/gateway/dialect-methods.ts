/**
 * The dialects' methods as the gRPC server runs them. An exchange begins with the headers, so that it is admitted before its
 * message is read, and ends with the answer, the client that leaves or the deadline, whatever the handler still does.
 */

import type { MethodDefinition } from '@grpc/grpc-js';
import type { VectorApi } from '../api/vector-api.ts';
import { credentialFrom } from '../auth/authenticator.ts';
import type { Dialect, GrpcMethod } from '../dialects/dialect.ts';
import type { Clock } from '../kernel/clock.ts';
import { withSignal } from '../kernel/deadline.ts';
import { ShoalError, grpcStatus } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Call, CallHandler, Method } from './grpc/call.ts';
import { okStatus } from './grpc/protocol.ts';
import type { Trailers } from './grpc/protocol.ts';
import { responseTooLarge, retryAfterMs } from './http-errors.ts';
import type { Exchange, Pipeline } from './pipeline.ts';
import { serviceName } from './reflection.ts';

type Definition = MethodDefinition<unknown, unknown>;

export interface DialectMethodsOptions {
  readonly dialects: readonly Dialect[];
  readonly api: VectorApi;
  readonly pipeline: Pipeline;
  readonly clock: Clock;
}

export interface DialectMethods {
  /** By path. */
  readonly methods: ReadonlyMap<string, Method>;
  /** Full names of the services, aliases too. */
  readonly services: readonly string[];
}

/** A method that a service declares and a dialect does not have is left out. */
export function dialectMethods(options: DialectMethodsOptions): DialectMethods {
  const methods = new Map<string, Method>();
  const names: string[] = [];
  for (const dialect of options.dialects) {
    for (const service of dialect.services) {
      for (const name of [serviceName(service.definition), ...(service.aliases ?? [])]) {
        names.push(name);
        for (const [key, definition] of Object.entries(service.definition) as [string, Definition][]) {
          const method = service.methods[key];
          if (method !== undefined) methods.set(`/${name}/${methodName(definition)}`, served(dialect, method, definition, options));
        }
      }
    }
  }
  return { methods, services: names };
}

function methodName({ path }: Definition): string {
  return path.split('/')[2]!;
}

function served(dialect: Dialect, method: GrpcMethod, definition: Definition, { api, pipeline, clock }: DialectMethodsOptions): Method {
  const operation = pipeline.operation({ transport: 'grpc', dialect: dialect.name, name: methodName(definition), action: method.action });
  const prepared: Prepared = { api, clock, definition, operation };
  return {
    requestStream: false,
    start: method.kind === 'unary' ? (call) => new UnaryCall(call, prepared, method) : (call) => new StreamCall(call, prepared, method),
  };
}

interface Prepared {
  readonly api: VectorApi;
  readonly clock: Clock;
  readonly definition: Definition;
  readonly operation: ReturnType<Pipeline['operation']>;
}

/** Each call has one: a class, so that it needs no closures. */
abstract class DialectCall<Kind extends GrpcMethod['kind']> implements CallHandler {
  protected readonly call: Call;
  protected readonly prepared: Prepared;
  protected readonly method: GrpcMethod & { kind: Kind };
  protected readonly exchange: Exchange;
  #admission: Promise<void> | undefined;
  #isOpen = true;

  constructor(call: Call, prepared: Prepared, method: GrpcMethod & { kind: Kind }) {
    this.call = call;
    this.prepared = prepared;
    this.method = method;
    this.exchange = prepared.operation.begin({
      requestId: call.header('x-request-id'),
      credential: credentialFrom(call.header('authorization'), call.header('x-api-key')),
      traceparent: call.header('traceparent'),
      timeoutMs: call.timeoutMs,
    });
    try {
      const wait = this.exchange.admit();
      this.exchange.signal.addEventListener('abort', this);
      if (wait !== undefined) this.#admission = wait.catch((error: unknown) => this.fail(error));
    } catch (error) {
      this.fail(error);
    }
  }

  /** Answers, and throws what shall be answered instead. */
  protected abstract run(request: unknown): Promise<void>;

  /** Of the exchange's signal. */
  handleEvent(): void {
    this.fail(this.exchange.signal.reason);
  }

  onMessage(bytes: Buffer): void {
    this.exchange.addBytes(bytes.length, 0);
    if (this.#admission === undefined) void this.#handle(bytes);
    else void this.#admission.then(() => this.#handle(bytes));
  }

  onMessagesEnd(): void {}

  onBadRequest(error: ShoalError): void {
    this.fail(error);
  }

  onCancel(): void {
    const { deadline } = this.exchange;
    // A client whose own timer was first leaves as well.
    if (this.prepared.clock.monotonicMs() >= deadline.atMs) deadline.expire();
    else deadline.cancel();
  }

  protected get isOpen(): boolean {
    return this.#isOpen;
  }

  /** An answer that is within its bound, encoded and counted. */
  protected encode(answer: unknown): Buffer {
    const bytes = this.prepared.definition.responseSerialize(answer);
    if (bytes.length > limits.responseBytesMax) throw responseTooLarge(bytes.length);
    this.exchange.addBytes(0, bytes.length);
    return bytes;
  }

  protected get trailers(): Trailers {
    return { 'x-request-id': this.exchange.requestId };
  }

  async #handle(bytes: Buffer): Promise<void> {
    if (!this.#isOpen) return;
    try {
      await this.run(this.#decode(bytes));
    } catch (error) {
      return this.fail(error);
    }
    this.#isOpen = false;
    this.exchange.finish();
  }

  #decode(bytes: Buffer): unknown {
    try {
      return this.prepared.definition.requestDeserialize(bytes);
    } catch (cause) {
      throw new ShoalError('MALFORMED_BODY', 'the message could not be decoded', { cause });
    }
  }

  protected fail(cause: unknown): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const error = this.exchange.fail(cause);
    const retryMs = retryAfterMs(error);
    const trailers = { ...this.trailers, 'shoal-error-code': error.code };
    this.call.end(grpcStatus[error.class.grpc], error.message, retryMs === undefined ? trailers : { ...trailers, 'retry-after-ms': String(retryMs) });
    this.exchange.finish();
  }
}

class UnaryCall extends DialectCall<'unary'> {
  protected override async run(request: unknown): Promise<void> {
    const answer = await this.method.handle(this.prepared.api, request, this.exchange.context);
    if (this.isOpen) this.call.answer(this.encode(answer), this.trailers);
  }
}

class StreamCall extends DialectCall<'server-stream'> {
  /** Writes no faster than the client reads. Leaves the source closed, however it ends. */
  protected override async run(request: unknown): Promise<void> {
    const { call } = this;
    const { signal } = this.exchange;
    const iterator = this.method.handle(this.prepared.api, request, this.exchange.context)[Symbol.asyncIterator]();
    let ended = false;
    try {
      for (;;) {
        const next = await withSignal(iterator.next(), signal);
        if (next.done === true) break;
        if (!call.write(this.encode(next.value))) await withSignal(new Promise<void>((resolve) => call.onceDrained(resolve)), signal);
      }
      ended = true;
      call.end(okStatus, '', this.trailers);
    } finally {
      // Not awaited: a source that is busy ends when its present step does.
      if (!ended) iterator.return?.().catch(() => undefined);
    }
  }
}
