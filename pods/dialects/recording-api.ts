/** A `VectorApi` for tests of dialects: it notes each call, and answers what it was told to. */

import type { RequestContext } from '../api/context.ts';
import type { VectorApi } from '../api/vector-api.ts';
import { noSpan } from '../kernel/span.ts';

export interface RecordedCall {
  /** `points.upsert`. */
  readonly method: string;
  /** Without the context. */
  readonly args: readonly unknown[];
  readonly idempotency?: RequestContext['idempotency'];
}

export interface RecordingApi {
  readonly api: VectorApi;
  readonly calls: RecordedCall[];
}

/** Every call resolves to `answer`, or iterates over it where it is a stream. */
export function recordingApi(answer: unknown): RecordingApi {
  const calls: RecordedCall[] = [];
  const part = (name: string): object =>
    new Proxy(
      {},
      {
        get: (_, method) => (context: RequestContext, ...args: unknown[]) => {
          const { idempotency } = context;
          calls.push({ method: `${name}.${String(method)}`, args, ...(idempotency === undefined ? {} : { idempotency }) });
          return method === 'stream' ? iterate(answer as readonly unknown[]) : Promise.resolve(answer);
        },
      },
    );
  const parts = ['collections', 'points', 'search', 'feedback', 'keys', 'cluster'];
  return { api: Object.fromEntries(parts.map((name) => [name, part(name)])) as unknown as VectorApi, calls };
}

async function* iterate(answers: readonly unknown[]): AsyncGenerator<unknown> {
  for (const answer of answers) yield await Promise.resolve(answer);
}

export const testContext: RequestContext = {
  requestId: 'request-1',
  identity: { subject: 'anonymous', actions: ['read', 'write', 'admin'], collections: 'all' },
  signal: new AbortController().signal,
  span: noSpan,
};
