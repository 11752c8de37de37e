/**
 * What HTTP and gRPC share. A request is an `Exchange`:
 *
 *   begin ── admit ───────────────────── handler ── finish
 *     |        |                                       |
 *     |        overload, shutdown, credential, action  metrics, slow-query log, span
 *     request id, deadline, span
 *
 * `begin` never fails, so that every answer has a request id and is counted; `admit` runs before a body is read or decoded.
 */

import assert from 'node:assert/strict';
import type { Identity, RequestContext } from '../api/context.ts';
import { allow } from '../auth/authorized-api.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import type { RequiredAction } from '../dialects/dialect.ts';
import type { Clock } from '../kernel/clock.ts';
import { startDeadline } from '../kernel/deadline.ts';
import type { Deadline } from '../kernel/deadline.ts';
import { ShoalError, asShoalError } from '../kernel/errors.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Random } from '../kernel/random.ts';
import type { Span } from '../kernel/span.ts';
import type { Counter, Histogram, Metrics } from '../telemetry/metrics.ts';
import { single } from '../telemetry/metrics.ts';
import type { Tracer } from '../telemetry/tracer.ts';

export interface PipelineOptions {
  readonly authenticator: Authenticator;
  readonly metrics: Metrics;
  readonly tracer: Tracer;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  readonly requestTimeoutMs: number;
  /** 0 logs none. */
  readonly slowQueryMs: number;
  readonly requestsInFlightMax: number;
}

export interface Operation {
  readonly transport: 'http' | 'grpc';
  readonly dialect: string;
  /** The label in metrics, spans and logs. */
  readonly name: string;
  readonly action: RequiredAction;
}

/** What a request brings along, as its transport found it. */
export interface Arrival {
  readonly requestId: string | undefined;
  readonly credential: string | undefined;
  readonly traceparent: string | undefined;
  /** Milliseconds that the client gives; undefined where it sets no deadline. */
  readonly timeoutMs: number | undefined;
}

export interface Pipeline {
  /** Prepares an operation once; `begin` is called for each of its requests. */
  operation(operation: Operation): { begin(arrival: Arrival): Exchange };
  /** From now on `admit` answers SHUTTING_DOWN. */
  stop(): void;
  /** Resolves when no request is in flight; after `graceMs` the rest is aborted with SHUTTING_DOWN. */
  drain(graceMs: number): Promise<void>;
  readonly inFlightCount: number;
}

export interface Exchange {
  readonly requestId: string;
  readonly signal: AbortSignal;
  readonly deadline: Deadline;
  /** Throws or rejects OVERLOADED, SHUTTING_DOWN, DEADLINE_EXCEEDED, UNAUTHENTICATED or PERMISSION_DENIED. */
  admit(): void | Promise<void>;
  /** To be read after `admit`. */
  readonly context: RequestContext;
  /** The error as the client may see it; what is a defect is logged under the request id. */
  fail(error: unknown): ShoalError;
  addBytes(requestBytes: number, responseBytes: number): void;
  /** Ends the request; later calls do nothing. */
  finish(): void;
}

const anonymous: Identity = { subject: 'anonymous', actions: [], collections: [] };

export function createPipeline(options: PipelineOptions): Pipeline {
  const { metrics, logger, clock } = options;
  const inFlight = new ExchangesInFlight();
  let stopped = false;
  let whenIdle: (() => void) | undefined;
  metrics.observe('requestsInFlight', single(() => inFlight.size));
  const state: PipelineState = {
    options,
    inFlight,
    isStopped: () => stopped,
    ended(exchange) {
      inFlight.remove(exchange);
      if (inFlight.size === 0) whenIdle?.();
    },
  };

  const idle = (timeoutMs: number): Promise<void> =>
    new Promise((resolve) => {
      if (inFlight.size === 0) return resolve();
      const timer = clock.after(timeoutMs, () => whenIdle?.());
      whenIdle = () => {
        whenIdle = undefined;
        timer.cancel();
        resolve();
      };
    });

  return {
    operation(operation) {
      const meter = new OperationMeter(metrics, operation);
      return {
        begin(arrival) {
          const exchange = new RunningExchange(state, meter, arrival);
          inFlight.add(exchange);
          return exchange;
        },
      };
    },
    stop: () => void (stopped = true),
    async drain(graceMs) {
      await idle(graceMs);
      if (inFlight.size === 0) return;
      logger.warn({ requests: inFlight.size }, 'requests did not end within the grace and are aborted');
      for (const exchange of inFlight.all()) exchange.deadline.shutDown();
      await idle(limits.shutdownAnswerMs);
    },
    get inFlightCount() {
      return inFlight.size;
    },
  };
}

interface PipelineState {
  readonly options: PipelineOptions;
  readonly inFlight: ExchangesInFlight;
  isStopped(): boolean;
  ended(exchange: RunningExchange): void;
}

/**
 * Not a Set, which makes a table anew every few requests: each one that it left refers to the next, so that one in the old
 * generation would keep all that came after it, with their requests, until a marking.
 */
class ExchangesInFlight {
  readonly #exchanges: RunningExchange[] = [];

  get size(): number {
    return this.#exchanges.length;
  }

  add(exchange: RunningExchange): void {
    exchange.place = this.#exchanges.push(exchange) - 1;
  }

  remove({ place }: RunningExchange): void {
    const last = this.#exchanges.pop()!;
    if (last.place === place) return;
    this.#exchanges[place] = last;
    last.place = place;
  }

  /** Those of now. */
  all(): readonly RunningExchange[] {
    return [...this.#exchanges];
  }
}

class RunningExchange implements Exchange {
  readonly requestId: string;
  readonly deadline: Deadline;
  /** Among those in flight. */
  place = -1;
  readonly #pipeline: PipelineState;
  readonly #meter: OperationMeter;
  readonly #credential: string | undefined;
  readonly #span: Span;
  readonly #startedMs: number;
  readonly #isOverloaded: boolean;
  #identity: Identity | undefined;
  #code: ErrorCode | 'OK' = 'OK';
  #isOpen = true;
  #requestBytes = 0;
  #responseBytes = 0;

  constructor(pipeline: PipelineState, meter: OperationMeter, arrival: Arrival) {
    const { clock, random, tracer, requestTimeoutMs, requestsInFlightMax } = pipeline.options;
    const { operation } = meter;
    this.#pipeline = pipeline;
    this.#meter = meter;
    this.#credential = arrival.credential;
    this.#startedMs = clock.monotonicMs();
    this.requestId = isRequestId(arrival.requestId) ? arrival.requestId : random.uuid();
    this.deadline = startDeadline(clock, Math.min(arrival.timeoutMs ?? requestTimeoutMs, limits.requestTimeoutMsMax));
    this.#span = tracer.start(operation.name, arrival.traceparent, { 'shoal.dialect': operation.dialect, 'shoal.request_id': this.requestId });
    this.#isOverloaded = pipeline.inFlight.size >= requestsInFlightMax;
  }

  get signal(): AbortSignal {
    return this.deadline.signal;
  }

  admit(): void | Promise<void> {
    const { authenticator, requestsInFlightMax } = this.#pipeline.options;
    if (this.#pipeline.isStopped()) throw new ShoalError('SHUTTING_DOWN', 'the server is shutting down');
    if (this.#isOverloaded) {
      throw new ShoalError('OVERLOADED', `${requestsInFlightMax} requests are in flight, which is the limit`, { details: { limit: requestsInFlightMax } });
    }
    if (this.signal.aborted) throw this.signal.reason;
    if (this.#meter.operation.action === 'none') return this.#accept(anonymous);
    const found = authenticator.authenticate(this.#credential);
    if (found instanceof Promise) return found.then((identity) => this.#accept(identity));
    this.#accept(found);
  }

  get context(): RequestContext {
    assert.ok(this.#identity !== undefined, 'a request was handled before it was admitted');
    return { requestId: this.requestId, identity: this.#identity, signal: this.signal, span: this.#span };
  }

  fail(error: unknown): ShoalError {
    const known = presentable(error);
    this.#code = known.code;
    this.#span.fail(known);
    if (known.code === 'INTERNAL' || known.code === 'CORRUPTION') {
      const { dialect, name } = this.#meter.operation;
      this.#pipeline.options.logger.error({ requestId: this.requestId, dialect, operation: name, error: chainOf(error) }, 'a request failed');
    }
    return known;
  }

  addBytes(requestBytes: number, responseBytes: number): void {
    this.#requestBytes += requestBytes;
    this.#responseBytes += responseBytes;
  }

  finish(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const { clock, logger, slowQueryMs } = this.#pipeline.options;
    this.deadline.settle();
    this.#span.end();
    const tookMs = clock.monotonicMs() - this.#startedMs;
    this.#meter.record(this.#code, tookMs, this.#requestBytes, this.#responseBytes);
    if (slowQueryMs > 0 && tookMs >= slowQueryMs) {
      this.#meter.slow.add(1);
      const { transport, dialect, name } = this.#meter.operation;
      const [requestBytes, responseBytes] = [this.#requestBytes, this.#responseBytes];
      logger.warn({ requestId: this.requestId, transport, dialect, operation: name, subject: this.#identity?.subject, code: this.#code, tookMs: Math.round(tookMs), requestBytes, responseBytes }, 'slow request');
    }
    this.#pipeline.ended(this);
  }

  #accept(identity: Identity): void {
    const { action } = this.#meter.operation;
    if (action !== 'none') allow({ identity }, action);
    this.#identity = identity;
  }
}

/** The metrics of one operation, asked for once. */
class OperationMeter {
  readonly operation: Operation;
  readonly slow: Counter;
  readonly #metrics: Metrics;
  readonly #duration: Histogram;
  readonly #requestBytes: Counter;
  readonly #responseBytes: Counter;
  readonly #byCode = new Map<string, Counter>();

  constructor(metrics: Metrics, operation: Operation) {
    const { transport, dialect, name } = operation;
    this.operation = operation;
    this.#metrics = metrics;
    this.#duration = metrics.histogram('requestDuration', { transport, dialect, operation: name });
    this.#requestBytes = metrics.counter('requestBytes', { transport, dialect });
    this.#responseBytes = metrics.counter('responseBytes', { transport, dialect });
    this.slow = metrics.counter('slowRequests', { dialect, operation: name });
  }

  record(code: ErrorCode | 'OK', tookMs: number, requestBytes: number, responseBytes: number): void {
    let counter = this.#byCode.get(code);
    if (counter === undefined) {
      const { transport, dialect, name } = this.operation;
      this.#byCode.set(code, (counter = this.#metrics.counter('requests', { transport, dialect, operation: name, code })));
    }
    counter.add(1);
    this.#duration.record(tookMs / 1_000);
    this.#requestBytes.add(requestBytes);
    this.#responseBytes.add(responseBytes);
  }
}

const requestIdForm = new RegExp(`^[\\x21-\\x7e]{1,${limits.requestIdBytesMax}}$`);

function isRequestId(value: string | undefined): value is string {
  return value !== undefined && requestIdForm.test(value);
}

/** A defect shows no more than that it is one. */
function presentable(error: unknown): ShoalError {
  const known = asShoalError(error);
  return known.code === 'INTERNAL' ? new ShoalError('INTERNAL', 'internal error; the log has the details under the request id', { cause: error }) : known;
}

function chainOf(error: unknown): string {
  const texts: string[] = [];
  for (let at = error, depth = 0; at !== undefined && depth < 5; at = at instanceof Error ? at.cause : undefined, depth++) {
    texts.push(at instanceof Error ? (at.stack ?? at.message) : String(at));
  }
  return texts.join('\ncaused by ');
}
