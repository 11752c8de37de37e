/**
 * Methods whose handlers packages bring: health and reflection. They are written for calls of grpc-js; here they get an
 * object with what they use of one. Such calls need no key and are no requests of the pipeline, so their bounds are here.
 */

import { EventEmitter } from 'node:events';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import type { Clock, Timer } from '../kernel/clock.ts';
import type { ShoalError } from '../kernel/errors.ts';
import { grpcStatus } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Call, CallHandler, Method } from './grpc/call.ts';
import { okStatus } from './grpc/protocol.ts';

/** What the server needs of it. */
type Definition = Pick<MethodDefinition<unknown, unknown>, 'path' | 'requestStream' | 'requestDeserialize' | 'responseSerialize'>;
type Callback = (error: { code: number; details: string } | null, answer?: unknown) => void;
export type PackageHandler = (call: PackageCall, callback: Callback) => void;

/** Of Node's timers. */
const timerMsMax = 2 ** 31 - 1;

/** Collects what packages add to a server. */
export class PackageMethods {
  readonly methods = new Map<string, Method>();
  readonly #open = new Set<PackageCall>();
  readonly #clock: Clock;
  readonly #messageTimeoutMs: number;

  /** `messageTimeoutMs`: what a client may take to send the message of a request that has one. */
  constructor(clock: Clock, messageTimeoutMs: number) {
    this.#clock = clock;
    this.#messageTimeoutMs = messageTimeoutMs;
  }

  /** As a server of grpc-js has it; a handler may bear the name of its method with a small first letter. */
  addService(service: ServiceDefinition, handlers: Record<string, PackageHandler>): void {
    for (const [name, definition] of Object.entries(service) as [string, Definition][]) {
      const handler = handlers[name] ?? handlers[name[0]!.toLowerCase() + name.slice(1)];
      if (handler !== undefined) this.add(definition, handler);
    }
  }

  add(definition: Definition, handler: PackageHandler): void {
    this.methods.set(definition.path, {
      requestStream: definition.requestStream,
      start: (call) => new PackageCall({ call, definition, handler, clock: this.#clock, messageTimeoutMs: this.#messageTimeoutMs, open: this.#open }),
    });
  }

  /** Ends those that would go on for as long as their clients like. */
  endCalls(): void {
    for (const call of this.#open) call.fail(grpcStatus.UNAVAILABLE, 'the server is shutting down');
  }
}

interface PackageCallOptions {
  readonly call: Call;
  readonly definition: Definition;
  readonly handler: PackageHandler;
  readonly clock: Clock;
  readonly messageTimeoutMs: number;
  /** Those that run. */
  readonly open: Set<PackageCall>;
}

export class PackageCall extends EventEmitter implements CallHandler {
  /** The decoded message of a request that has one. */
  request: unknown;
  readonly #options: PackageCallOptions;
  readonly #endsAtMs: number;
  #timer: Timer;
  #isOpen = true;
  /** Messages of a request whose answers wait for the client to read; undefined while none do. */
  #waiting: Buffer[] | undefined;
  #endWaits = false;

  constructor(options: PackageCallOptions) {
    super();
    this.#options = options;
    const { call, definition, clock } = options;
    this.#endsAtMs = clock.monotonicMs() + (call.timeoutMs ?? (definition.requestStream ? limits.requestTimeoutMsMax : Infinity));
    this.#timer = this.#expireAfter(definition.requestStream ? Infinity : options.messageTimeoutMs);
    options.open.add(this);
    if (definition.requestStream) this.#guard(() => options.handler(this, () => undefined));
  }

  write(answer: unknown): void {
    if (!this.#isOpen) return;
    const { call, definition } = this.#options;
    if (call.write(definition.responseSerialize(answer))) return;
    if (!definition.requestStream) return this.fail(grpcStatus.RESOURCE_EXHAUSTED, 'the answers are not read');
    this.#waiting = [];
    call.holdBack();
    call.onceDrained(() => this.#drained());
  }

  end(): void {
    if (this.#close()) this.#options.call.end(okStatus, '');
  }

  fail(status: number, message: string): void {
    if (!this.#close()) return;
    this.#options.call.end(status, message);
    this.emit('cancelled');
  }

  onMessage(bytes: Buffer): void {
    if (!this.#isOpen) return;
    if (this.#waiting !== undefined) return void this.#waiting.push(bytes);
    const { definition, handler, call } = this.#options;
    let request: unknown;
    try {
      request = definition.requestDeserialize(bytes);
    } catch {
      return this.fail(grpcStatus.INVALID_ARGUMENT, 'the message could not be decoded');
    }
    if (definition.requestStream) return this.#guard(() => this.emit('data', request));
    this.request = request;
    this.#timer.cancel();
    this.#timer = this.#expireAfter(Infinity);
    this.#guard(() =>
      handler(this, (error, answer) => {
        if (error !== null) return this.fail(error.code, error.details);
        const bytes = definition.responseSerialize(answer);
        if (this.#close()) call.answer(bytes);
      }),
    );
  }

  onMessagesEnd(): void {
    if (this.#waiting !== undefined) this.#endWaits = true;
    else if (this.#isOpen) this.emit('end');
  }

  onBadRequest(error: ShoalError): void {
    this.fail(grpcStatus[error.class.grpc], error.message);
  }

  onCancel(): void {
    if (this.#close()) this.emit('cancelled');
  }

  /** A handler that throws ends its call, and nothing else. */
  #guard(run: () => void): void {
    try {
      run();
    } catch {
      this.fail(grpcStatus.INTERNAL, 'internal error');
    }
  }

  #drained(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (let at = 0; at < waiting.length; at++) {
      this.onMessage(waiting[at]!);
      if (this.#waiting !== undefined) {
        this.#waiting = waiting.slice(at + 1);
        return;
      }
    }
    if (this.#endWaits) this.onMessagesEnd();
    else this.#options.call.goOn();
  }

  /** After so long, and no later than the call's deadline. */
  #expireAfter(delayMs: number): Timer {
    const { clock } = this.#options;
    const waitMs = Math.min(delayMs, this.#endsAtMs - clock.monotonicMs());
    if (waitMs === Infinity) return { cancel: () => undefined };
    return clock.after(Math.min(Math.max(0, waitMs), timerMsMax), () => this.fail(grpcStatus.DEADLINE_EXCEEDED, 'the deadline of the call passed'));
  }

  /** False when it was closed before. */
  #close(): boolean {
    if (!this.#isOpen) return false;
    this.#isOpen = false;
    this.#timer.cancel();
    this.#waiting = undefined;
    this.#options.open.delete(this);
    return true;
  }
}
