/**
 * One shard replica: the way of a write from proposal to answer, the life of its derived data, and its figures.
 *
 *     write ─▶ D1 ─▶ latches ─▶ room ─▶ resolve ─▶ propose (W1) ─▶ log, durable ─▶ commit (W3) ─▶ apply ─▶ answer
 *
 * Reading is in `reader.ts`; what may be committed is decided by `pods/replication/core.ts`.
 */

import assert from 'node:assert/strict';
import { asShoalError, ShoalError } from '../kernel/errors.ts';
import type { Clock } from '../kernel/clock.ts';
import { limits } from '../kernel/limits.ts';
import type { CollectionSpec } from '../domain/collection.ts';
import type { Consistency } from '../domain/consistency.ts';
import type { ShardStatistics } from '../domain/shard-statistics.ts';
import type { Idempotency, OperationResult } from '../domain/write.ts';
import type { ReplicaLog } from '../log/log.ts';
import { startCore, step, type Authority, type CoreInput, type CoreOutput, type CoreState, type MemberId } from '../replication/core.ts';
import { applyEntries, type AppliedState, type CommittedEntry } from './applier.ts';
import { AppliedSeq } from './applied-seq.ts';
import { Checkpointer } from './checkpointer.ts';
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
  readonly #applied: AppliedSeq;
  #applying: Promise<void> | undefined;
  #serving = false;
  #failure: Error | undefined;
  #closed = false;
  readonly #checkpointer: Checkpointer;

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
    replica.#checkpointer.start();
    return replica;
  }

  private constructor(options: ReplicaOptions, recovered: RecoveredReplica) {
    const { appliedSeq, commitSeq, term } = recovered.replicaState;
    this.#options = options;
    this.#recovered = recovered;
    this.shardUID = options.shardUID;
    this.#spec = options.spec;
    this.#applied = new AppliedSeq(appliedSeq);
    const { dimension, metric, index } = options.spec;
    this.#checkpointer = new Checkpointer({
      state: recovered.state,
      checkpoints: recovered.checkpoints,
      parameters: { dimension, metric, m: index.m, efConstruction: index.efConstruction },
      applied: this.#applied,
      checkpointSeq: recovered.checkpointSeq,
      clock: options.clock,
      logger: options.logger,
    });
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
    return this.#applied.value;
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
    this.state.index.startMoving();
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
    if (this.#failure !== undefined || this.#closed || (!this.#serving && this.#core.role !== 'primary' && this.#applied.value === 0)) this.#checkServing();
    switch (consistency.level) {
      case 'eventual':
        return;
      case 'session':
        for (const token of consistency.tokens) {
          if (token.shardUID === this.shardUID) await this.#applied.reaches(token.seq, signal);
        }
        return;
      case 'linearizable':
        // The term-check round over maximalInSync is trivial while its only member is this replica.
        this.#checkServing();
        return this.#applied.reaches(this.#core.commitSeq, signal);
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
      appliedSeq: this.#applied.value,
      checkpointSeq: this.#checkpointer.seq,
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
    return this.#checkpointer.write();
  }

  /** Stops taking writes, lets those under way finish, and closes the index. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#checkpointer.stop();
    await Promise.allSettled([...this.#pending.values()].map((pending) => pending.applied.promise));
    await this.#applying;
    this.#applied.giveUp(new ShoalError('SHUTTING_DOWN', `shard ${this.shardUID} is closed`));
    await this.#checkpointer.finish({ last: this.#failure === undefined });
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
    if (operations.length === 0 && idempotency === undefined) return { seq: this.#applied.value, results };
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
    while (this.#applied.value < this.#core.commitSeq && this.#failure === undefined) {
      const first = this.#applied.value + 1;
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
    if (this.#applied.value >= last) return;
    for await (const { term, seq, payload } of this.#options.log.read(this.#applied.value + 1, last)) {
      run.push({ term, seq, entry: decodeEntry(payload) });
      sizeBytes += payload.length;
      if (run.length >= limits.applyBatchEntryCountMax || sizeBytes >= limits.applyBatchBytesMax) {
        await this.#apply(run);
        run = [];
        sizeBytes = 0;
      }
    }
    if (run.length > 0) await this.#apply(run);
    if (this.#applied.value < last) {
      throw new ShoalError('CORRUPTION', `the log of shard ${this.shardUID} lacks seq ${this.#applied.value + 1}, which was committed`);
    }
  }

  async #apply(run: readonly CommittedEntry[]): Promise<void> {
    assert(run[0]!.seq === this.#applied.value + 1, 'entries are applied in order');
    const repeats = await applyEntries(this.state, run, this.#core.commitSeq);
    for (const { seq, entry } of run) {
      this.#applied.advance(seq);
      this.#checkpointer.changed(entry.operations.length);
      const pending = this.#pending.get(seq);
      if (pending === undefined) continue;
      this.#pending.delete(seq);
      this.#pendingBytes -= pending.sizeBytes;
      const repeat = repeats.get(seq);
      if (repeat === undefined) pending.applied.resolve({ seq, results: entry.results });
      else if (repeat.kind === 'applied') pending.applied.resolve(repeat.request);
      else pending.applied.reject(repeat.error);
    }
    this.#applied.wake();
    this.#checkpointer.writeWhenDue();
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
    this.#applied.giveUp(new ShoalError('UNAVAILABLE', `shard ${this.shardUID} failed`, { cause: error }));
    this.#options.onFailure(error);
  }
}
