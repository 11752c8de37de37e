/**
 * Traces through the OpenTelemetry SDK to a collector, OTLP over HTTP. Parents are passed explicitly: a span makes its
 * children, and no AsyncLocalStorage runs on the hot path. A request that the sampler leaves out costs one drawing of ids
 * and gets a span that records nothing and still hands its `traceparent` on, so that the next process leaves it out too.
 */

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, isSpanContextValid, trace } from '@opentelemetry/api';
import type { Attributes, Context, Span as OpenTelemetrySpan, Tracer as OpenTelemetryTracer } from '@opentelemetry/api';
import { parseTraceParent } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, ParentBasedSampler, TraceIdRatioBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace';
import { asShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { noSpan } from '../kernel/span.ts';
import type { Span } from '../kernel/span.ts';
import type { Tracer } from './tracer.ts';

export interface OtlpTracerOptions {
  /** Base address of the collector, `http://127.0.0.1:4318`; spans go to its `/v1/traces`. */
  readonly endpoint: string;
  /** Fraction of the requests to trace whose caller has not decided; the caller's decision is followed. */
  readonly sampleRatio: number;
  readonly version: string;
}

export function createOtlpTracer(options: OtlpTracerOptions): Tracer {
  const exporter = new OTLPTraceExporter({ url: `${options.endpoint.replace(/\/+$/, '')}/v1/traces`, timeoutMillis: limits.traceExportTimeoutMs, concurrencyLimit: 2 });
  const processor = new BatchSpanProcessor({
    exporter,
    maxQueueSize: limits.traceQueueSpansMax,
    maxExportBatchSize: limits.traceBatchSpansMax,
    scheduledDelayMillis: limits.traceExportIntervalMs,
    exportTimeoutMillis: limits.traceExportTimeoutMs,
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'shoal', 'service.version': options.version }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(options.sampleRatio) }),
    spanProcessors: [processor],
  });
  const tracer = provider.getTracer('shoal');
  return {
    start: (name, traceparent, attributes) => wrap(tracer, tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, remoteContext(traceparent))),
    close: () => provider.shutdown(),
  };
}

function remoteContext(traceparent: string | undefined): Context {
  const remote = traceparent === undefined ? null : parseTraceParent(traceparent);
  return remote === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, { ...remote, isRemote: true });
}

function wrap(tracer: OpenTelemetryTracer, span: OpenTelemetrySpan): Span {
  return span.isRecording() ? new RecordedSpan(tracer, span) : new UnrecordedSpan(span);
}

class RecordedSpan implements Span {
  readonly #tracer: OpenTelemetryTracer;
  readonly #span: OpenTelemetrySpan;

  constructor(tracer: OpenTelemetryTracer, span: OpenTelemetrySpan) {
    this.#tracer = tracer;
    this.#span = span;
  }

  child(name: string, attributes: Attributes = {}): Span {
    return wrap(this.#tracer, this.#tracer.startSpan(name, { attributes }, trace.setSpan(ROOT_CONTEXT, this.#span)));
  }

  set(attributes: Readonly<Record<string, string | number | boolean>>): void {
    this.#span.setAttributes(attributes);
  }

  /** The code and message of an error of ours; of any other only that it was internal. */
  fail(error: unknown): void {
    const known = asShoalError(error);
    this.#span.setAttribute('shoal.error_code', known.code);
    this.#span.setStatus({ code: SpanStatusCode.ERROR, message: known.message });
  }

  end(): void {
    this.#span.end();
  }

  get traceparent(): string | undefined {
    return traceparentOf(this.#span);
  }
}

class UnrecordedSpan implements Span {
  readonly #span: OpenTelemetrySpan;
  readonly child = (): Span => this;
  readonly set = noSpan.set;
  readonly fail = noSpan.fail;
  readonly end = noSpan.end;

  constructor(span: OpenTelemetrySpan) {
    this.#span = span;
  }

  get traceparent(): string | undefined {
    return traceparentOf(this.#span);
  }
}

function traceparentOf(span: OpenTelemetrySpan): string | undefined {
  const context = span.spanContext();
  if (!isSpanContextValid(context)) return undefined;
  return `00-${context.traceId}-${context.spanId}-${(context.traceFlags & TraceFlags.SAMPLED) === 0 ? '00' : '01'}`;
}
