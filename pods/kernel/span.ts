/** A span of a trace, as the code between gateway and index sees it; `pods/telemetry` makes real ones. */

export interface Span {
  /** A child that starts now. */
  child(name: string, attributes?: Readonly<Record<string, string | number | boolean>>): Span;
  set(attributes: Readonly<Record<string, string | number | boolean>>): void;
  fail(error: unknown): void;
  end(): void;
  /** W3C `traceparent` to hand to the next process, or undefined when nothing is traced. */
  readonly traceparent: string | undefined;
}

/** Traces nothing. */
export const noSpan: Span = {
  child: () => noSpan,
  set: () => undefined,
  fail: () => undefined,
  end: () => undefined,
  traceparent: undefined,
};
