/**
 * A client as docs/consistency.md advises: at most 6 tries with waits that double up to 2 s and have chance in them, 20 s in
 * all, each try with the same request number, the next try through the next gateway.
 */

import { errorTable, type ErrorCode } from '../../../pods/kernel/errors.ts';
import { GrpcFailure } from '../grpc-client.ts';
import { ShoalClient } from '../shoal-client.ts';
import { pause } from '../timeouts.ts';

export const triesMax = 6;
export const allTriesMs = 20_000;
const firstWaitMs = 125;
const waitMsMax = 2_000;

export interface Try {
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

export class RetryingClient {
  readonly #clients: readonly { readonly gateway: string; readonly client: ShoalClient }[];
  #next: number;
  /** Tries that failed and were followed by another. */
  repeatCount = 0;

  /** `first`: which of the gateways it begins with. */
  constructor(gateways: readonly { readonly name: string; readonly grpcAddress: string }[], key: string, first = 0) {
    this.#clients = gateways.map(({ name, grpcAddress }) => ({ gateway: name, client: new ShoalClient({ grpcAddress, key }) }));
    this.#next = first % gateways.length;
  }

  /** `request` is sent again as it is, so a write must carry its number. */
  async send<Answer>(request: (client: ShoalClient, options: { readonly timeoutMs: number }) => Promise<Answer>): Promise<Answer> {
    const startedMs = performance.now();
    const tries: Try[] = [];
    for (;;) {
      const { gateway, client } = this.#clients[this.#next]!;
      const atMs = performance.now() - startedMs;
      try {
        return await request(client, { timeoutMs: Math.max(1, allTriesMs - atMs) });
      } catch (error) {
        if (!(error instanceof GrpcFailure)) throw error;
        tries.push({ gateway, atMs, failure: `${error.code ?? ''} ${error.message}`.trim() });
        const waitMs = Math.min(waitMsMax, firstWaitMs * 2 ** (tries.length - 1)) * (0.5 + Math.random() / 2);
        const isLast = tries.length === triesMax || performance.now() - startedMs + waitMs >= allTriesMs;
        if (isLast || !mayHelp(error)) throw new RequestFailedError(tries, error);
        this.repeatCount++;
        this.#next = (this.#next + 1) % this.#clients.length;
        await pause(waitMs);
      }
    }
  }

  close(): void {
    for (const { client } of this.#clients) client.close();
  }
}

/** Without a code of ours the connection failed. */
function mayHelp({ code, status }: GrpcFailure): boolean {
  if (code !== undefined) return errorTable[code as ErrorCode].retry === 'after-backoff';
  return status === 'UNAVAILABLE' || status === 'DEADLINE_EXCEEDED';
}
