/** Where spans come from. Without a tracer that is configured, all spans are `noSpan` and cost nothing. */

import { noSpan } from '../kernel/span.ts';
import type { Span } from '../kernel/span.ts';

export interface Tracer {
  /** The root of this process' part of a request; `traceparent` is the caller's W3C header, if it sent one. */
  start(name: string, traceparent: string | undefined, attributes: Readonly<Record<string, string | number | boolean>>): Span;
  /** Sends what has been collected and stops. */
  close(): Promise<void>;
}

export const noTracer: Tracer = {
  start: () => noSpan,
  close: () => Promise.resolve(),
};
