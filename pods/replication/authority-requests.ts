/**
 * Carries out what the core asks of the consensus store: reads that are repeated until they are answered, and
 * compare-and-swaps that are never repeated (rule W4). Knows since when the store has not answered.
 */

import { sleep, type Clock } from '../kernel/clock.ts';
import { withTimeout } from '../kernel/deadline.ts';
import { hasCode } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import type { Authority, AuthorityStore } from './authority.ts';
import { isLeading } from './primary-role.ts';
import type { CoreInput, CoreState, MetadataRequest } from './state.ts';

export interface AuthorityRequestsOptions {
  readonly store: AuthorityStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** When the replica is closed. */
  readonly closed: AbortSignal;
  readonly state: () => CoreState;
  readonly step: (input: CoreInput) => void;
}

const retryMs = 200;

export class AuthorityRequests {
  readonly #options: AuthorityRequestsOptions;
  #readWanted = false;
  #reading = false;
  #blockedSinceMs: number | undefined;

  constructor(options: AuthorityRequestsOptions) {
    this.#options = options;
  }

  /** Since when the store has left something open that this replica asked of it; undefined when it has not. */
  get blockedSinceMs(): number | undefined {
    return this.#blockedSinceMs;
  }

  /** What was asked for in the term that has ended holds nothing up any more. */
  termEnded(): void {
    this.#blockedSinceMs = undefined;
  }

  ask(request: MetadataRequest, because: string): void {
    if (request.kind === 'cas') return this.#compareAndSwap(request, because);
    this.#readWanted = true;
    void this.#readUntilAnswered();
  }

  /** One linearizable GET. */
  read(): Promise<Authority | undefined> {
    const { clock, store, closed } = this.#options;
    return withTimeout(clock, limits.metadataTimeoutMs, closed, (signal) => store.read(signal));
  }

  #compareAndSwap({ resourceVersion, inSync, configVersion }: Extract<MetadataRequest, { kind: 'cas' }>, because: string): void {
    const { clock, logger, store, closed, state, step } = this.#options;
    const { shardUID, term } = state();
    logger.info({ shardUID, configVersion }, because);
    const change = { resourceVersion, configVersion, ...(inSync === undefined ? {} : { inSync }) };
    withTimeout(clock, limits.metadataTimeoutMs, closed, (signal) => store.compareAndSwap(change, signal)).then(
      (authority) => {
        this.#blockedSinceMs = undefined;
        if (state().term === term) step({ kind: 'cas-confirmed', authority });
      },
      (error: unknown) => {
        if (state().term === term && isLeading(state())) this.#blockedSinceMs ??= clock.monotonicMs();
        logger.warn({ error, shardUID }, 'a change of inSync was not confirmed; reading the object again');
        const again = (): void => void (state().term === term && step({ kind: 'cas-ambiguous' }));
        if (hasCode(error, 'CONFLICT')) again();
        else clock.after(retryMs, again);
      },
    );
  }

  /** Each answer is of a GET that began after it was asked for. */
  async #readUntilAnswered(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    const { clock, closed, step } = this.#options;
    while (this.#readWanted && !closed.aborted) {
      this.#readWanted = false;
      try {
        const authority = await this.read();
        this.#blockedSinceMs = undefined;
        if (authority !== undefined && !this.#readWanted) step({ kind: 'authority', authority, source: 'read' });
      } catch {
        this.#blockedSinceMs ??= clock.monotonicMs();
        this.#readWanted = true;
        await sleep(clock, retryMs, closed).catch(() => undefined);
      }
    }
    this.#reading = false;
  }
}
