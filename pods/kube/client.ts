/**
 * Reads and writes of the Kubernetes API with the meanings that the rest of the program has for errors.
 *
 *     read    GET; tried again a few times with growing, random pauses; UNAVAILABLE when that does not help
 *     write   everything else; sent once, never again by itself (rule W4); OUTCOME_UNKNOWN when nobody knows what became of it
 */

import { type Clock, sleep } from '../kernel/clock.ts';
import { ShoalError, type ErrorCode } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Random } from '../kernel/random.ts';
import type { KubeEndpoint } from './endpoint.ts';
import { NoAnswerError, readBody, send, type KubeRequest } from './request.ts';

export interface KubeClientOptions {
  readonly endpoint: KubeEndpoint;
  readonly clock: Clock;
  readonly random: Random;
  /** How long one attempt may take; `limits.kubeRequestTimeoutMs` unless said. */
  readonly timeoutMs?: number;
  /** Called before each write; what it throws is thrown instead of sending it. */
  readonly beforeWrite?: () => void;
}

/** What the API server says instead of an object (`kind: Status`). */
interface Refusal {
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly name?: string };
}

export class KubeClient {
  readonly endpoint: KubeEndpoint;
  readonly clock: Clock;
  readonly random: Random;
  readonly #timeoutMs: number;
  readonly #beforeWrite: () => void;

  constructor({ endpoint, clock, random, timeoutMs = limits.kubeRequestTimeoutMs, beforeWrite = () => undefined }: KubeClientOptions) {
    this.endpoint = endpoint;
    this.clock = clock;
    this.random = random;
    this.#timeoutMs = timeoutMs;
    this.#beforeWrite = beforeWrite;
  }

  /** The object at `path`, or undefined where there is none of this name. CONFLICT: the version that was asked for is gone. */
  async read(path: string, query: Readonly<Record<string, string>> = {}, signal?: AbortSignal): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#readOnce(path, query, signal);
      } catch (error) {
        if (attempt === limits.kubeReadTriesMax || !(error instanceof ShoalError) || error.class.retry !== 'after-backoff' || signal?.aborted) throw error;
        await sleep(this.clock, backoffMs(this.random, attempt), signal);
      }
    }
  }

  /** The answer's object. What each error says of the write is in `pods/metadata/cluster-metadata.ts`. */
  async write(request: KubeRequest & { readonly method: 'POST' | 'PUT' | 'PATCH' | 'DELETE' }): Promise<unknown> {
    this.#beforeWrite();
    const what = `${request.method} ${request.path}`;
    // The server gives up when we do, so that a write that nobody waits for does not happen much later.
    const query = { timeout: `${Math.ceil(this.#timeoutMs / 1_000)}s`, ...request.query };
    let status: number;
    let retryAfter: string | undefined;
    let text: string;
    try {
      const answer = await send(this.endpoint, this.clock, this.#timeoutMs, { ...request, query });
      status = answer.statusCode!;
      retryAfter = answer.headers['retry-after'];
      text = await readBody(answer, this.clock, this.#timeoutMs);
    } catch (error) {
      if (error instanceof NoAnswerError && !error.wasSent) throw new ShoalError('UNAVAILABLE', `${what} was not sent: ${error.message}`, { cause: error });
      throw new ShoalError('OUTCOME_UNKNOWN', `${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    if (status < 300) return parsed(text) ?? fail('OUTCOME_UNKNOWN', `${what} was answered ${status} without JSON`);
    const { reason, message = text.slice(0, 300) } = (parsed(text) ?? {}) as Refusal;
    if (status === 409) throw new ShoalError('CONFLICT', message);
    if (status === 404) throw new ShoalError(isAbsent(text) && request.method !== 'POST' ? 'CONFLICT' : 'UNAVAILABLE', `${what}: ${message}`);
    // An API server that ends, or puts another schema of a resource in place, turns requests away like this before it looks at them.
    if (reason === 'ServiceUnavailable' && retryAfter !== undefined) throw new ShoalError('UNAVAILABLE', `${what} was turned away: ${message}`);
    throw new ShoalError(codeOf(status) ?? 'OUTCOME_UNKNOWN', `${what}: ${status} ${message}`);
  }

  async #readOnce(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal | undefined): Promise<unknown> {
    let status: number;
    let text: string;
    try {
      const answer = await send(this.endpoint, this.clock, this.#timeoutMs, { method: 'GET', path, query, signal });
      status = answer.statusCode!;
      text = await readBody(answer, this.clock, this.#timeoutMs);
    } catch (error) {
      throw new ShoalError('UNAVAILABLE', `GET ${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    if (status < 300) return parsed(text) ?? fail('UNAVAILABLE', `GET ${path} was answered ${status} without JSON`);
    if (status === 404 && isAbsent(text)) return undefined;
    const { message = text.slice(0, 300) } = (parsed(text) ?? {}) as Refusal;
    if (status === 410) throw new ShoalError('CONFLICT', message);
    throw new ShoalError(codeOf(status) ?? 'UNAVAILABLE', `GET ${path}: ${status} ${message}`);
  }
}

/** There is no object of this name. A whole resource that the server does not know has no name in the answer. */
function isAbsent(text: string): boolean {
  const { reason, details } = (parsed(text) ?? {}) as Refusal;
  return reason === 'NotFound' && details?.name !== undefined;
}

/** Codes that say the request was refused before it did anything. */
function codeOf(status: number): ErrorCode | undefined {
  switch (status) {
    case 400:
    case 422:
      return 'INVALID_ARGUMENT';
    case 401:
      return 'UNAUTHENTICATED';
    case 403:
      return 'PERMISSION_DENIED';
    case 429:
      return 'OVERLOADED';
    default:
      return undefined;
  }
}

/** Doubles with each attempt up to a bound; a random part of that, so that many who failed together do not return together. */
export function backoffMs(random: Random, attempt: number): number {
  const ceilingMs = Math.min(limits.kubeBackoffMsMax, limits.kubeFirstBackoffMs * 2 ** (attempt - 1));
  return ceilingMs * (0.5 + random.fraction() / 2);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function fail(code: ErrorCode, message: string): never {
  throw new ShoalError(code, message);
}
