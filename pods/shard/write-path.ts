/**
 * The way of a write from proposal to answer: recognised (D1), given room, latched, resolved into effects, proposed. The
 * answer comes when its entry is applied, or when nobody can say any more what becomes of it.
 */

import { withSignal } from '../kernel/deadline.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Idempotency, OperationResult } from '../domain/write.ts';
import type { ReplicationDriver } from '../replication/driver.ts';
import type { AppliedState, Repeat } from './applier.ts';
import { checkEntrySize, encodeEntry } from './entry-codec.ts';
import { Latches } from './latches.ts';
import type { Entry } from './operation.ts';

export interface WriteOutcome {
  readonly seq: number;
  readonly results: readonly OperationResult[];
}

/** Decides the effects of a write, given the seq that its entry will have; runs with the latches held and must not wait. */
export type Resolve = (seq: number) => Pick<Entry, 'operations' | 'results'>;

export interface WriteRequest {
  readonly idempotency: Idempotency | undefined;
  readonly signal: AbortSignal;
  /** What it reads and changes, to be latched. */
  readonly keys: readonly string[];
  /** Points that it may add. */
  readonly pointCount: number;
  /** About what it holds in memory until it is logged. */
  readonly sizeBytes: number;
  readonly prepare: () => Promise<Resolve>;
}

/** An entry on its way from proposal to application. */
interface PendingEntry {
  readonly term: number;
  readonly entry: Entry;
  readonly sizeBytes: number;
  readonly applied: PromiseWithResolvers<WriteOutcome>;
}

export interface WritePathOptions {
  readonly state: AppliedState;
  readonly driver: ReplicationDriver;
  /** Throws unless this replica serves writes. */
  readonly checkServing: () => void;
}

export class WritePath {
  readonly latches = new Latches();
  readonly #options: WritePathOptions;
  readonly #pending = new Map<number, PendingEntry>();
  #pendingBytes = 0;
  /** Writes that have no entry yet: they wait for room or for latches, or are being decided. */
  #waitingCount = 0;
  #waitingBytes = 0;
  /** Requests with an id (rule D1) that are not applied yet. */
  readonly #inFlight = new Map<string, Promise<WriteOutcome>>();

  constructor(options: WritePathOptions) {
    this.#options = options;
  }

  get pendingCount(): number {
    return this.#pending.size + this.#waitingCount;
  }

  /** Logs and applies one write. Without operations and without an idempotency number nothing is logged. */
  async write(request: WriteRequest): Promise<WriteOutcome> {
    const { idempotency } = request;
    this.#options.checkServing();
    if (idempotency === undefined) return this.#writeOnce(request);
    const name = `${idempotency.requestNumber} ${idempotency.clientId}`;
    for (;;) {
      const running = this.#inFlight.get(name);
      if (running === undefined) break;
      // Its failure may be its caller's own, such as a deadline: then this one takes its place.
      const outcome = await running.catch(() => undefined);
      if (outcome !== undefined) return outcome;
      this.#options.checkServing();
    }
    const remembered = this.#options.state.idempotency.find(idempotency);
    if (remembered !== undefined) return remembered;
    const outcome = this.#writeOnce(request);
    this.#inFlight.set(name, outcome);
    try {
      return await outcome;
    } finally {
      this.#inFlight.delete(name);
    }
  }

  /** The entry that this process assigned to (term, seq), decoded already. */
  proposed(term: number, seq: number): Entry | undefined {
    const pending = this.#pending.get(seq);
    return pending?.term === term ? pending.entry : undefined;
  }

  /** Answers whoever waits for an entry that is applied now. */
  applied(term: number, seq: number, repeat: Repeat | undefined): void {
    const pending = this.#pending.get(seq);
    if (pending === undefined) return;
    this.#forget(seq, pending);
    if (pending.term !== term) pending.applied.reject(unknownOutcome('another primary gave its place in the log to another entry'));
    else if (repeat === undefined) pending.applied.resolve({ seq, results: pending.entry.results });
    else if (repeat.kind === 'applied') pending.applied.resolve(repeat.request);
    else pending.applied.reject(repeat.error);
  }

  /** W4: nobody knows what becomes of the entries above `seq`; their writers must not take that for a failure. */
  giveUpAbove(seq: number, because: string): void {
    this.refuseAbove(seq, unknownOutcome(because));
  }

  refuseAbove(seq: number, reason: ShoalError): void {
    for (const [at, pending] of [...this.#pending]) {
      if (at <= seq) continue;
      this.#forget(at, pending);
      pending.applied.reject(reason);
    }
  }

  async idle(): Promise<void> {
    await Promise.allSettled([...this.#pending.values()].map((pending) => pending.applied.promise));
  }

  async #writeOnce(request: WriteRequest): Promise<WriteOutcome> {
    const { signal, keys, pointCount, prepare } = request;
    const leave = this.#enter(request.sizeBytes);
    try {
      const releaseRoom = await this.#options.state.index.reserveRoom(pointCount, signal);
      try {
        const releaseLatches = await this.latches.acquire(keys);
        try {
          signal.throwIfAborted();
          const resolve = await prepare();
          signal.throwIfAborted();
          this.#options.checkServing();
          const outcome = this.#propose(request, resolve);
          leave();
          return await outcome;
        } finally {
          releaseLatches();
        }
      } finally {
        releaseRoom();
      }
    } finally {
      leave();
    }
  }

  /** Counts a write until the result is called for the first time. OVERLOADED: too many are counted already. */
  #enter(sizeBytes: number): () => void {
    const count = this.#pending.size + this.#waitingCount;
    const bytes = this.#pendingBytes + this.#waitingBytes;
    if (count >= limits.shardPendingWriteCountMax || bytes >= limits.shardPendingWriteBytesMax) {
      throw new ShoalError('OVERLOADED', `the shard has ${count} writes of ${bytes} bytes waiting for others or for the disk`);
    }
    this.#waitingCount++;
    this.#waitingBytes += sizeBytes;
    let isCounted = true;
    return () => {
      if (!isCounted) return;
      isCounted = false;
      this.#waitingCount--;
      this.#waitingBytes -= sizeBytes;
    };
  }

  #propose({ idempotency, signal }: WriteRequest, resolve: Resolve): Promise<WriteOutcome> | WriteOutcome {
    const { state, driver } = this.#options;
    // D1 once more: others of this client may have been applied while this one waited for room and latches.
    const remembered = idempotency === undefined ? undefined : state.idempotency.find(idempotency);
    if (remembered !== undefined) return remembered;
    const { operations, results } = resolve(driver.state.lastSeq + 1);
    // Nothing to log; but what was decided by must have been the newest state there is (rule R1).
    if (operations.length === 0 && idempotency === undefined) return withSignal(driver.readRound(), signal).then(() => ({ seq: driver.state.appliedSeq, results }));
    const entry: Entry = { idempotency, operations, results };
    checkEntrySize(entry);
    const payload = encodeEntry(entry);
    const { term, seq } = driver.propose(payload);
    const pending: PendingEntry = { term, entry, sizeBytes: payload.length, applied: Promise.withResolvers<WriteOutcome>() };
    this.#pending.set(seq, pending);
    this.#pendingBytes += payload.length;
    return pending.applied.promise;
  }

  #forget(seq: number, pending: PendingEntry): void {
    this.#pending.delete(seq);
    this.#pendingBytes -= pending.sizeBytes;
  }
}

function unknownOutcome(because: string): ShoalError {
  return new ShoalError('OUTCOME_UNKNOWN', `the write may or may not have happened: ${because}`);
}
