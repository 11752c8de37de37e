/**
 * One request, sent as docs/consistency.md advises: at most 6 tries with waits that double up to 2 s and have chance in them,
 * 20 s in all. Each try sends the same, so a write must carry its number.
 */

import { errorTable, type ErrorCode } from '../../../pods/kernel/errors.ts';
import { GrpcFailure } from '../grpc-client.ts';
import { pause } from '../timeouts.ts';

export const triesMax = 6;
export const allTriesMs = 20_000;
const firstWaitMs = 125;
const waitMsMax = 2_000;

/** A try over HTTP that got no answer (status 0), or one that is no success. */
export class HttpFailure extends Error {
  readonly status: number;
  /** The code of the error table, where the server named one. */
  readonly code: string | undefined;

  constructor(status: number, code: string | undefined, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface Try {
  /** Through which door. */
  readonly gateway: string;
  /** From the beginning of the request. */
  readonly atMs: number;
  readonly failure: string;
}

/** The request got no answer in all its tries, or one that no repetition helps. */
export class RequestFailedError extends Error {
  readonly tries: readonly Try[];

  constructor(tries: readonly Try[], cause: unknown) {
    super(`no answer: ${tries.map(({ gateway, atMs, failure }) => `after ${Math.round(atMs)} ms by ${gateway}: ${failure}`).join('; ')}`, { cause });
    this.tries = tries;
  }
}

export interface OneTry<Answer> {
  readonly gateway: string;
  send(options: { readonly timeoutMs: number }): Promise<Answer>;
}

/** `next` says how the request goes out next; `repeated` is told of each try that failed and is followed by another. */
export async function repeatedRequest<Answer>(next: () => OneTry<Answer>, repeated: () => void): Promise<Answer> {
  const startedMs = performance.now();
  const tries: Try[] = [];
  for (;;) {
    const { gateway, send } = next();
    const atMs = performance.now() - startedMs;
    try {
      return await send({ timeoutMs: Math.max(1, Math.round(allTriesMs - atMs)) });
    } catch (error) {
      if (!(error instanceof GrpcFailure || error instanceof HttpFailure)) throw error;
      tries.push({ gateway, atMs, failure: `${error.code ?? ''} ${error.message}`.trim() });
      const waitMs = Math.min(waitMsMax, firstWaitMs * 2 ** (tries.length - 1)) * (0.5 + Math.random() / 2);
      const isLast = tries.length === triesMax || performance.now() - startedMs + waitMs >= allTriesMs;
      if (isLast || !mayHelp(error)) throw new RequestFailedError(tries, error);
      repeated();
      await pause(waitMs);
    }
  }
}

/** Without a code of ours the connection failed, or what is between client and gateway had nobody to ask. */
function mayHelp({ code, status }: GrpcFailure | HttpFailure): boolean {
  if (code !== undefined) return errorTable[code as ErrorCode].retry === 'after-backoff';
  return typeof status === 'number' ? [0, 502, 503, 504].includes(status) : status === 'UNAVAILABLE' || status === 'DEADLINE_EXCEEDED';
}
