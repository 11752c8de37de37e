/**
 * One shard replica: the way of a write from proposal to answer, the life of its derived data, and its figures.
 *
 *     write ─▶ D1 ─▶ latches ─▶ room ─▶ resolve ─▶ propose (W1) ─▶ log, durable ─▶ commit (W3) ─▶ apply ─▶ answer
 *
 * Reading is in `reader.ts`; what may be committed is decided by `pods/replication/core.ts`.
 */

import assert from 'node:assert/strict';
import { asShoalError, ShoalError } from '../kernel/errors.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';
import type { CollectionSpec } from '../domain/collection.ts';
import type { Consistency } from '../domain/consistency.ts';
import type { ShardStatistics } from '../domain/shard-statistics.ts';
import type { Idempotency, OperationResult } from '../domain/write.ts';
import type { ReplicaLog } from '../log/log.ts';
import { startCore, step, type Authority, type CoreInput, type CoreOutput, type CoreState, type MemberId } from '../replication/core.ts';
import { applyEntries, type AppliedState, type CommittedEntry } from './applier.ts';
import { checkEntrySize, decodeEntry, encodeEntry } from './entry-codec.ts';
import { Latches } from './latches.ts';
import { noOp, type Entry } from './operation.ts';
import { recoverReplica, type RecoveredReplica, type RecoveryOptions } from './recovery.ts';

export interface ReplicaOptions extends RecoveryOptions {
  readonly shardUID: string;
  readonly self: MemberId;
  readonly session: string;
  readonly log: ReplicaLog;
  readonly clock: Clock;
  /** The replica cannot go on: its log or store failed (rule F1). */
  readonly onFailure: (error: Error) => void;
  /** The replica gave up its term, without harm; it wants a new one (rule W0). */
  readonly onStepDown: (because: string) => void;
}

/** An entry on its way from proposal to application. */
interface PendingEntry {
  readonly term: number;
  readonly entry: Entry;
  readonly sizeBytes: number;
  readonly applied: PromiseWithResolvers<WriteOutcome>;
}

interface AppliedWaiter {
  readonly seq: number;
  readonly wake: () => void;
  readonly giveUp: (reason: Error) => void;
}

export interface WriteOutcome {
  readonly seq: number;
  readonly results: readonly OperationResult[];
}

export class ShardReplica {
  readonly shardUID: string;
  readonly latches = new Latches();
  readonly #options: ReplicaOptions;
  readonly #recovered: RecoveredReplica;
  #spec: CollectionSpec;
  #core: CoreState;
  readonly #pending = new Map<number, PendingEntry>();
  #pendingBytes = 0;
  /** Requests with an id (rule D1) that are not applied yet. */
  readonly #inFlight = new Map<string, Promise<WriteOutcome>>();
  #appliedSeq: number;
  #applying: Promise<void> | undefined;
  #appliedWaiters: AppliedWaiter[] = [];
  #serving = false;
  #failure: Error | undefined;
  #closed = false;
  #checkpointSeq: number;
  #checkpointPointCount = 0;
  #changedPointCount = 0;
  #checkpointing: Promise<void> | undefined;
  #checkpointFailed = false;
  #checkpointTimer: Timer | undefined;

  /** Opens the replica and replays the log to its stored commit seq; it serves after `lead`. */
  static async open(options: ReplicaOptions): Promise<ShardReplica> {
    const recovered = await recoverReplica(options);
    const { appliedSeq, commitSeq } = recovered.replicaState;
    if (options.log.lastSeq < appliedSeq) {
      throw new ShoalError('CORRUPTION', `the log of shard ${options.shardUID} ends at seq ${options.log.lastSeq}, below ${appliedSeq}, which was applied`, {
        details: { shardUID: options.shardUID, logLastSeq: options.log.lastSeq, appliedSeq },
      });
    }
    if (options.log.lastSeq < commitSeq) {
      throw new ShoalError('CORRUPTION', `the log of shard ${options.shardUID} ends at seq ${options.log.lastSeq}, below ${commitSeq}, which was committed`, {
        details: { shardUID: options.shardUID, logLastSeq: options.log.lastSeq, commitSeq },
      });
    }
    if (options.log.firstSeq > appliedSeq + 1) {
      throw new ShoalError('CORRUPTION', `the log of shard ${options.shardUID} begins at seq ${options.log.firstSeq}, above ${appliedSeq + 1}, which was not applied`, {
        details: { shardUID: options.shardUID, logFirstSeq: options.log.firstSeq, appliedSeq },
      });
    }
    const replica = new ShardReplica(options, recovered);
    await replica.#replay(commitSeq);
    replica.#scheduleCheckpoint();
    return replica;
  }

  private constructor(options: ReplicaOptions, recovered: RecoveredReplica) {
    const { appliedSeq, commitSeq, term } = recovered.replicaState;
    this.#options = options;
    this.#recovered = recovered;
    this.shardUID = options.shardUID;
    this.#spec = options.spec;
    this.#appliedSeq = appliedSeq;
    this.#checkpointSeq = recovered.checkpointSeq;
    this.#checkpointPointCount = recovered.state.labels.pointCount;
    this.#core = startCore({
      self: options.self,
      session: options.session,
      lastSeq: options.log.lastSeq,
      lastTerm: Math.max(term, options.log.lastTerm),
      commitSeq,
    });
  }

  get spec(): CollectionSpec {
    return this.#spec;
  }

  get state(): AppliedState {
    return this.#recovered.state;
  }

  get epochs(): RecoveredReplica['epochs'] {
    return this.#recovered.epochs;
  }

  get appliedSeq(): number {
    return this.#appliedSeq;
  }

  get term(): number {
    return this.#core.term;
  }

  /** Undefined when it serves, else why not. */
  get notServing(): string | undefined {
    if (this.#failure !== undefined) return `failed: ${this.#failure.message}`;
    if (this.#closed) return 'closed';
    if (!this.#serving) return this.#core.role === 'primary' ? 'its term is not committed yet' : 'it waits to be granted a term';
    return undefined;
  }

  /** Rules W0, P2: begins the term with a no-op; resolves when that is applied and the replica serves. */
  async lead(authority: Authority): Promise<void> {
    const output = this.#step({ kind: 'authority', authority });
    if (output.append === undefined) throw new ShoalError('CONFLICT', output.because);
    await this.#append(output.append.term, output.append.firstSeq, noOp);
    if (this.#core.term === authority.term && this.#core.role === 'primary') this.#serving = true;
  }

  /**
   * Logs and applies one write. `resolve` decides its effects, given the seq the entry will have; it runs with the
   * latches held and must not wait. Without operations and without an idempotency number nothing is logged.
   */
  async write(
    idempotency: Idempotency | undefined,
    signal: AbortSignal,
    keys: readonly string[],
    pointCount: number,
    prepare: () => Promise<(seq: number) => Pick<Entry, 'operations' | 'results'>>,
  ): Promise<WriteOutcome> {
    this.#checkServing();
    if (idempotency === undefined) return this.#writeOnce(undefined, signal, keys, pointCount, prepare);
    const name = `${idempotency.requestNumber} ${idempotency.clientId}`;
    for (;;) {
      const running = this.#inFlight.get(name);
      if (running === undefined) break;
      // Its failure may be its caller's own, such as a deadline: then this one takes its place.
      const outcome = await running.catch(() => undefined);
      if (outcome !== undefined) return outcome;
      this.#checkServing();
    }
    const remembered = this.state.idempotency.find(idempotency);
    if (remembered !== undefined) return remembered;
    const outcome = this.#writeOnce(idempotency, signal, keys, pointCount, prepare);
    this.#inFlight.set(name, outcome);
    try {
      return await outcome;
    } finally {
      this.#inFlight.delete(name);
    }
  }

  /** Rule R1 and tokens: resolves when a read may look. */
  async readBarrier(consistency: Consistency, signal: AbortSignal): Promise<void> {
    if (this.#failure !== undefined || this.#closed || (!this.#serving && this.#core.role !== 'primary' && this.#appliedSeq === 0)) this.#checkServing();
    switch (consistency.level) {
      case 'eventual':
        return;
      case 'session':
        for (const token of consistency.tokens) {
          if (token.shardUID === this.shardUID) await this.#whenApplied(token.seq, signal);
        }
        return;
      case 'linearizable':
        // The term-check round over maximalInSync is trivial while its only member is this replica.
        this.#checkServing();
        return this.#whenApplied(this.#core.commitSeq, signal);
    }
  }

  /** Takes over what may change of a collection; resolves when new payload indexes answer. */
  changeSpec(spec: CollectionSpec): Promise<void> {
    this.#spec = spec;
    return this.state.payloads.change(spec.payloadIndexes);
  }

  statistics(): ShardStatistics {
    const { index } = this.state;
    return {
      lastSeq: this.#core.lastSeq,
      commitSeq: this.#core.commitSeq,
      appliedSeq: this.#appliedSeq,
      checkpointSeq: this.#checkpointSeq,
      tailPointCount: index.tailPointCount,
      graphPointCount: index.graphPointCount,
      indexMemoryBytes: index.memoryBytes() + this.state.labels.memoryBytes(),
      indexKind: index.kind,
    };
  }

  get pointCount(): number {
    return this.state.labels.pointCount;
  }

  get pendingWriteCount(): number {
    return this.#pending.size;
  }

  /** Writes a checkpoint of the derived data now. */
  checkpoint(): Promise<void> {
    this.#checkpointing ??= this.#writeCheckpoint().finally(() => (this.#checkpointing = undefined));
    return this.#checkpointing;
  }

  /** Stops taking writes, lets those under way finish, and closes the index. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#checkpointTimer?.cancel();
    await Promise.allSettled([...this.#pending.values()].map((pending) => pending.applied.promise));
    await this.#applying;
    this.#giveUpAppliedWaiters(new ShoalError('SHUTTING_DOWN', `shard ${this.shardUID} is closed`));
    await this.#checkpointing?.catch(() => undefined);
    // The next start then finds a graph without a rest to move.
    if (this.#changedPointCount > 0 && this.#failure === undefined) await this.#checkpointOrWarn();
    await this.state.index.close();
  }

  async #writeOnce(
    idempotency: Idempotency | undefined,
    signal: AbortSignal,
    keys: readonly string[],
    pointCount: number,
    prepare: () => Promise<(seq: number) => Pick<Entry, 'operations' | 'results'>>,
  ): Promise<WriteOutcome> {
    if (this.#pending.size >= limits.shardPendingWriteCountMax || this.#pendingBytes >= limits.shardPendingWriteBytesMax) {
      throw new ShoalError('OVERLOADED', `the shard has ${this.#pending.size} writes of ${this.#pendingBytes} bytes waiting for the disk`);
    }
    const releaseRoom = await this.state.index.reserveRoom(pointCount, signal);
    try {
      const releaseLatches = await this.latches.acquire(keys);
      try {
        signal.throwIfAborted();
        const resolve = await prepare();
        signal.throwIfAborted();
        this.#checkServing();
        return await this.#propose(idempotency, resolve);
      } finally {
        releaseLatches();
      }
    } finally {
      releaseRoom();
    }
  }

  async #propose(idempotency: Idempotency | undefined, resolve: (seq: number) => Pick<Entry, 'operations' | 'results'>): Promise<WriteOutcome> {
    // D1 once more: others of this client may have been applied while this one waited for room and latches.
    const remembered = idempotency === undefined ? undefined : this.state.idempotency.find(idempotency);
    if (remembered !== undefined) return remembered;
    const seq = this.#core.lastSeq + 1;
    if (this.#options.log.lastSeq !== seq - 1) throw new ShoalError('NOT_PRIMARY', 'the log refused entries, so the term is about to end');
    const { operations, results } = resolve(seq);
    if (operations.length === 0 && idempotency === undefined) return { seq: this.#appliedSeq, results };
    const entry: Entry = { idempotency, operations, results };
    checkEntrySize(entry);
    const output = this.#step({ kind: 'propose', entryCount: 1 });
    if (output.append === undefined) throw new ShoalError(this.#core.role === 'primary' ? 'NOT_ENOUGH_IN_SYNC' : 'NOT_PRIMARY', output.because);
    return this.#append(output.append.term, seq, entry);
  }

  /** Appends one entry and resolves when it is applied. */
  #append(term: number, seq: number, entry: Entry): Promise<WriteOutcome> {
    const payload = encodeEntry(entry);
    const pending: PendingEntry = { term, entry, sizeBytes: payload.length, applied: Promise.withResolvers<WriteOutcome>() };
    this.#pending.set(seq, pending);
    this.#pendingBytes += payload.length;
    this.#options.log.append([{ term, seq, payload }]).then(
      () => this.#step({ kind: 'durable', member: this.#options.self, term, throughSeq: seq }),
      (error: unknown) => this.#appendFailed(seq, error),
    );
    return pending.applied.promise;
  }

  #step(input: CoreInput): CoreOutput {
    const output = step(this.#core, input);
    this.#core = output.state;
    if (output.commitThroughSeq !== undefined) this.#startApplying();
    return output;
  }

  /** A full disk refuses entries from `seq` on: the term ends, so that no seq of it is ever given to another operation. */
  #appendFailed(seq: number, error: unknown): void {
    const reason = asShoalError(error);
    this.#dropPending(seq, reason);
    if (this.#core.role !== 'primary') return;
    this.#serving = false;
    this.#core = step(this.#core, { kind: 'step-down', lastSeq: this.#options.log.lastSeq }).state;
    if (reason.code === 'STORAGE_READ_ONLY' || reason.code === 'OVERLOADED') this.#options.onStepDown(reason.message);
    else this.#fail(reason);
  }

  #dropPending(seq: number, reason: Error): void {
    const pending = this.#pending.get(seq);
    if (pending === undefined) return;
    this.#pending.delete(seq);
    this.#pendingBytes -= pending.sizeBytes;
    pending.applied.reject(reason);
  }

  #startApplying(): void {
    this.#applying ??= this.#applyCommitted()
      .catch((error: unknown) => this.#fail(asShoalError(error)))
      .finally(() => (this.#applying = undefined));
  }

  async #applyCommitted(): Promise<void> {
    while (this.#appliedSeq < this.#core.commitSeq && this.#failure === undefined) {
      const first = this.#appliedSeq + 1;
      const known = this.#pending.get(first);
      if (known === undefined) await this.#replay(this.#core.commitSeq, this.#nextPendingSeq());
      else await this.#apply(this.#takeCommitted(first));
    }
  }

  /** A run of entries that this process proposed itself, bounded in count and bytes. */
  #takeCommitted(firstSeq: number): CommittedEntry[] {
    const run: CommittedEntry[] = [];
    let sizeBytes = 0;
    for (let seq = firstSeq; seq <= this.#core.commitSeq && run.length < limits.applyBatchEntryCountMax; seq++) {
      const pending = this.#pending.get(seq);
      if (pending === undefined || (run.length > 0 && sizeBytes + pending.sizeBytes > limits.applyBatchBytesMax)) break;
      sizeBytes += pending.sizeBytes;
      run.push({ term: pending.term, seq, entry: pending.entry });
    }
    return run;
  }

  #nextPendingSeq(): number {
    return Math.min(this.#core.commitSeq + 1, ...this.#pending.keys());
  }

  /** Reads committed entries from the log and applies them, up to but not including `beforeSeq`. */
  async #replay(throughSeq: number, beforeSeq = throughSeq + 1): Promise<void> {
    let run: CommittedEntry[] = [];
    let sizeBytes = 0;
    const last = Math.min(throughSeq, beforeSeq - 1);
    if (this.#appliedSeq >= last) return;
    for await (const { term, seq, payload } of this.#options.log.read(this.#appliedSeq + 1, last)) {
      run.push({ term, seq, entry: decodeEntry(payload) });
      sizeBytes += payload.length;
      if (run.length >= limits.applyBatchEntryCountMax || sizeBytes >= limits.applyBatchBytesMax) {
        await this.#apply(run);
        run = [];
        sizeBytes = 0;
      }
    }
    if (run.length > 0) await this.#apply(run);
    if (this.#appliedSeq < last) {
      throw new ShoalError('CORRUPTION', `the log of shard ${this.shardUID} lacks seq ${this.#appliedSeq + 1}, which was committed`);
    }
  }

  async #apply(run: readonly CommittedEntry[]): Promise<void> {
    assert(run[0]!.seq === this.#appliedSeq + 1, 'entries are applied in order');
    const repeats = await applyEntries(this.state, run, this.#core.commitSeq);
    for (const { seq, entry } of run) {
      this.#appliedSeq = seq;
      this.#changedPointCount += entry.operations.length;
      const pending = this.#pending.get(seq);
      if (pending === undefined) continue;
      this.#pending.delete(seq);
      this.#pendingBytes -= pending.sizeBytes;
      const repeat = repeats.get(seq);
      if (repeat === undefined) pending.applied.resolve({ seq, results: entry.results });
      else if (repeat.kind === 'applied') pending.applied.resolve(repeat.request);
      else pending.applied.reject(repeat.error);
    }
    this.#wakeAppliedWaiters();
    this.#checkpointWhenDue();
  }

  #whenApplied(seq: number, signal: AbortSignal): Promise<void> {
    if (this.#appliedSeq >= seq) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const onAbort = (): void => {
        this.#appliedWaiters = this.#appliedWaiters.filter((other) => other !== waiter);
        reject(signal.reason as Error);
      };
      const waiter: AppliedWaiter = {
        seq,
        wake: () => (signal.removeEventListener('abort', onAbort), resolve()),
        giveUp: (reason) => (signal.removeEventListener('abort', onAbort), reject(reason)),
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#appliedWaiters.push(waiter);
    });
  }

  #wakeAppliedWaiters(): void {
    if (this.#appliedWaiters.length === 0) return;
    const ready = this.#appliedWaiters.filter((waiter) => waiter.seq <= this.#appliedSeq);
    this.#appliedWaiters = this.#appliedWaiters.filter((waiter) => waiter.seq > this.#appliedSeq);
    for (const waiter of ready) waiter.wake();
  }

  #giveUpAppliedWaiters(reason: Error): void {
    const waiters = this.#appliedWaiters;
    this.#appliedWaiters = [];
    for (const waiter of waiters) waiter.giveUp(reason);
  }

  #checkServing(): void {
    const because = this.notServing;
    if (because === undefined) return;
    if (this.#closed) throw new ShoalError('SHUTTING_DOWN', `shard ${this.shardUID} is closed`);
    throw new ShoalError(this.#failure === undefined ? 'NOT_PRIMARY' : 'UNAVAILABLE', `shard ${this.shardUID} does not serve: ${because}`, { cause: this.#failure });
  }

  #fail(error: ShoalError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#serving = false;
    const unknown = new ShoalError('OUTCOME_UNKNOWN', `shard ${this.shardUID} failed while the write was under way`, { cause: error });
    for (const seq of [...this.#pending.keys()]) this.#dropPending(seq, unknown);
    this.#giveUpAppliedWaiters(new ShoalError('UNAVAILABLE', `shard ${this.shardUID} failed`, { cause: error }));
    this.#options.onFailure(error);
  }

  #checkpointWhenDue(): void {
    // After a failure only the timer tries again: a full disk is not to be written to with every entry.
    if (this.#checkpointing !== undefined || this.#checkpointFailed) return;
    const due = Math.max(limits.checkpointPointCountMin, this.#checkpointPointCount * limits.checkpointFractionNew);
    if (this.#changedPointCount >= due) void this.#checkpointOrWarn();
  }

  #scheduleCheckpoint(): void {
    this.#checkpointTimer = this.#options.clock.after(limits.checkpointIntervalMs, () => {
      const due = this.#changedPointCount > 0 && !this.#closed;
      void (due ? this.#checkpointOrWarn() : Promise.resolve()).finally(() => {
        if (!this.#closed) this.#scheduleCheckpoint();
      });
    });
  }

  async #checkpointOrWarn(): Promise<void> {
    try {
      await this.checkpoint();
      this.#checkpointFailed = false;
    } catch (error) {
      this.#checkpointFailed = true;
      this.#options.logger.warn({ error, shardUID: this.shardUID }, 'the checkpoint failed; the next start takes longer');
    }
  }

  async #writeCheckpoint(): Promise<void> {
    const { index, labels, payloads } = this.state;
    if (!index.hasGraph && !payloads.active) {
      this.#changedPointCount = 0;
      return;
    }
    const seq = this.#appliedSeq;
    const changedPointCount = this.#changedPointCount;
    const versions = labels.copyVersions();
    // A checkpoint is never newer than what the store keeps over a power loss.
    await this.state.store.flush();
    const checkpoint = await this.#recovered.checkpoints.write({
      seq,
      versions,
      writePayload: payloads.active ? (write) => payloads.indexes.encode(write) : undefined,
      writeGraph: (directory) => index.checkpoint(directory),
      parameters: { dimension: this.#spec.dimension, metric: this.#spec.metric, m: this.#spec.index.m, efConstruction: this.#spec.index.efConstruction },
    });
    this.#checkpointSeq = checkpoint.manifest.seq;
    this.#checkpointPointCount = labels.pointCount;
    this.#changedPointCount -= changedPointCount;
  }
}
