/**
 * One shard replica: puts together what it stores (`recovery.ts`), what it may commit (`pods/replication`), its way of
 * writes (`write-path.ts`), of committed entries (`apply-loop.ts`) and of reads (`reader.ts`), and says whether it serves.
 */

import { asShoalError, ShoalError } from '../kernel/errors.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Mutations } from '../kernel/mutations.ts';
import type { CollectionSpec } from '../domain/collection.ts';
import type { Consistency, ConsistencyToken } from '../domain/consistency.ts';
import type { ReplicaReport } from '../domain/pod-service.ts';
import type { ShardStatistics } from '../domain/shard-statistics.ts';
import { withSignal } from '../kernel/deadline.ts';
import { indexParametersOf } from '../index/index-parameters.ts';
import type { ReplicaLog } from '../log/log.ts';
import { isInSync, type Authority, type AuthorityStore } from '../replication/authority.ts';
import { ReplicationDriver } from '../replication/driver.ts';
import type { Address, Message, MessageTransport } from '../replication/messages.ts';
import { isLeading } from '../replication/primary-role.ts';
import type { CoreState } from '../replication/state.ts';
import { AppliedSeq } from './applied-seq.ts';
import type { AppliedState } from './applier.ts';
import { ApplyLoop } from './apply-loop.ts';
import { Checkpointer } from './checkpointer.ts';
import { encodeEntry } from './entry-codec.ts';
import { noOp } from './operation.ts';
import { recoverReplica, type RecoveredReplica, type RecoveryOptions } from './recovery.ts';
import { WritePath, type WriteOutcome, type WriteRequest } from './write-path.ts';

export interface ReplicaOptions extends RecoveryOptions {
  readonly collectionUID: string;
  readonly shardUID: string;
  readonly self: Address;
  readonly log: ReplicaLog;
  readonly transport: MessageTransport;
  readonly authorityStore: AuthorityStore;
  readonly clock: Clock;
  /** The replica cannot go on: its log or store failed (rule F1). */
  readonly onFailure: (error: Error) => void;
  /** It serves now, or does not any more. */
  readonly onChange: () => void;
  /** A1: it cannot be brought up from the primary's log. */
  readonly onSnapshotNeeded: (source: Address) => void;
  readonly mutations?: Mutations;
}

export class ShardReplica {
  readonly shardUID: string;
  readonly #options: ReplicaOptions;
  readonly #recovered: RecoveredReplica;
  readonly #driver: ReplicationDriver;
  readonly #writes: WritePath;
  readonly #loop: ApplyLoop;
  readonly #applied: AppliedSeq;
  readonly #checkpointer: Checkpointer;
  #spec: CollectionSpec;
  #served = false;
  /** Of a backup in sync: what was committed when it came in sync, or began to follow this primary. */
  #memberFromSeq: number | undefined;
  #failure: Error | undefined;
  #closed = false;

  /** Opens the replica and replays the log to its stored commit seq; it serves when it leads, or is in sync. */
  static async open(options: ReplicaOptions): Promise<ShardReplica> {
    const recovered = await recoverReplica(options);
    try {
      checkLog(options, recovered);
      const replica = new ShardReplica(options, recovered);
      await replica.#loop.runThrough();
      replica.#checkpointer.start();
      return replica;
    } catch (error) {
      await recovered.state.index.close();
      throw error;
    }
  }

  private constructor(options: ReplicaOptions, recovered: RecoveredReplica) {
    this.#options = options;
    this.#recovered = recovered;
    this.shardUID = options.shardUID;
    this.#spec = options.spec;
    this.#applied = new AppliedSeq(recovered.replicaState.appliedSeq);
    this.#checkpointer = new Checkpointer({
      state: recovered.state,
      checkpoints: recovered.checkpoints,
      parameters: indexParametersOf(options.spec),
      applied: this.#applied,
      checkpointSeq: recovered.checkpointSeq,
      clock: options.clock,
      logger: options.logger,
    });
    this.#driver = new ReplicationDriver({
      ...options,
      ...recovered.replicaState,
      noOpPayload: encodeEntry(noOp),
      events: {
        committed: () => this.#loop.wake(),
        steppedDown: (because) => {
          this.#writes.giveUpAbove(this.#driver.state.commitSeq, because);
          options.onChange();
        },
        refused: (aboveSeq, reason) => this.#writes.refuseAbove(aboveSeq, reason),
        takeSnapshotFrom: options.onSnapshotNeeded,
        failed: (error) => this.#fail(error),
      },
    });
    this.#writes = new WritePath({ state: recovered.state, driver: this.#driver, checkServing: () => this.#checkServing() });
    this.#loop = new ApplyLoop({
      shardUID: this.shardUID,
      state: recovered.state,
      applied: this.#applied,
      driver: this.#driver,
      writes: this.#writes,
      checkpointer: this.#checkpointer,
      isPatient: () => this.#driver.state.role.kind === 'backup',
      onApplied: () => this.#onApplied(),
      onFailure: (error) => this.#fail(error),
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
    return this.#driver.state.term;
  }

  /** Rule T1: entries above this are needed, by this replica or by one that writes wait for. */
  get neededAboveSeq(): number {
    return Math.min(this.#applied.value, this.#driver.neededAboveSeq);
  }

  /** The newest that it knows; perhaps not the newest there is. */
  get authority(): Authority | undefined {
    return this.#driver.state.authority;
  }

  /** The state of the protocol, to be looked at. */
  get protocol(): CoreState {
    return this.#driver.state;
  }

  /** Undefined when it serves as the shard's primary, else why not. */
  get notServing(): string | undefined {
    if (this.#failure !== undefined) return `failed: ${this.#failure.message}`;
    if (this.#closed) return 'closed';
    const { state } = this.#driver;
    if (isLeading(state)) return this.#applied.value >= state.role.noOpSeq ? undefined : 'its term is not committed yet';
    return state.role.kind === 'backup' ? `it follows ${state.role.leader.pod}` : 'it waits to be granted a term';
  }

  /** Undefined when it serves reads that need not be linearizable, else why not. */
  get notReadable(): string | undefined {
    const { role, authority, self } = this.#driver.state;
    // Before that, what earlier terms acknowledged may be in its log and not in its store: after a restart above all.
    if (role.kind === 'primary') return this.notServing;
    if (role.kind === 'waiting' || role.matchedSeq === 0) return 'it has not heard from its primary';
    if (!isInSync(authority, self)) return 'it is not in sync, or does not know yet that it is';
    const isCaughtUp = this.#memberFromSeq !== undefined && this.#applied.value >= this.#memberFromSeq;
    return isCaughtUp ? undefined : 'it has not applied yet what was committed when it came in sync';
  }

  /** The shard's object was read, or has changed. */
  authorityChanged(authority: Authority): void {
    this.#driver.authorityChanged(authority);
    this.#noteMembership();
  }

  receive(message: Message): void {
    this.#driver.receive(message);
    this.#noteMembership();
  }

  /** Called several times a second. */
  tick(): void {
    this.#driver.tick();
    this.#noteMembership();
  }

  /** Rule S1. */
  stopWrites(signal: AbortSignal): Promise<{ readonly term: number; readonly lastSeq: number }> {
    this.#checkServing();
    return withSignal(this.#driver.stopWrites(signal), signal);
  }

  /** Resolves when the term that it was granted is committed and applied (rule P2). */
  async begun(signal: AbortSignal): Promise<void> {
    const { state } = this.#driver;
    if (isLeading(state)) await this.#applied.reaches(state.role.noOpSeq, signal);
  }

  /** Logs and applies one write (`write-path.ts`). */
  write(request: WriteRequest): Promise<WriteOutcome> {
    return this.#writes.write(request);
  }

  /** Rule R1 and tokens: resolves when a read may look. No promise where it may at once. */
  readBarrier(consistency: Consistency, signal: AbortSignal): void | Promise<void> {
    if (consistency.level === 'linearizable') return this.#confirmLeading(signal);
    this.#checkReadable();
    if (consistency.level === 'session') return this.#reachTokens(consistency.tokens, signal);
  }

  /** Takes over what may change of a collection; resolves when new payload indexes answer. */
  changeSpec(spec: CollectionSpec): Promise<void> {
    this.#spec = spec;
    return this.state.payloads.change(spec.payloadIndexes);
  }

  statistics(): ShardStatistics {
    const { index } = this.state;
    const { lastSeq, commitSeq } = this.#driver.state;
    return {
      lastSeq,
      commitSeq,
      appliedSeq: this.#applied.value,
      checkpointSeq: this.#checkpointer.seq,
      tailPointCount: index.tailPointCount,
      graphPointCount: index.graphPointCount,
      indexMemoryBytes: index.memoryBytes() + this.state.labels.memoryBytes(),
      indexKind: index.kind,
    };
  }

  /** Rule P1. */
  report(): ReplicaReport {
    const { collectionUID, shardUID, self, role, term, durableSeq, commitSeq, authority } = this.#driver.state;
    return {
      collectionUID,
      shardUID,
      incarnation: self.incarnation,
      role: role.kind,
      term,
      lastSeq: durableSeq,
      commitSeq,
      appliedSeq: this.#applied.value,
      configVersion: authority?.configVersion ?? 0,
      quarantined: this.#failure !== undefined,
      blockedMs: this.#driver.blockedMs,
      pointCount: this.pointCount,
    };
  }

  get pointCount(): number {
    return this.state.labels.pointCount;
  }

  get pendingWriteCount(): number {
    return this.#writes.pendingCount;
  }

  /** Writes a checkpoint of the derived data now. */
  checkpoint(): Promise<void> {
    return this.#checkpointer.write();
  }

  /** The log was trimmed (rule T1). */
  trimmed(): void {
    this.#driver.trimmed();
  }

  /** Stops taking writes, lets those under way finish until the signal aborts, and closes the index. */
  async close(signal: AbortSignal): Promise<void> {
    this.#closed = true;
    this.#checkpointer.stop();
    if (this.#failure === undefined) await withSignal(this.#writes.idle(), signal).catch(() => undefined);
    this.#driver.close();
    await this.#loop.stop();
    this.#applied.giveUp(new ShoalError('SHUTTING_DOWN', `shard ${this.shardUID} is closed`));
    await this.#checkpointer.finish({ last: this.#failure === undefined });
    this.state.points.close();
    await this.state.index.close();
  }

  /**
   * In sync means that everything is in the log; it may take a while until it is applied. Whoever came in sync just now, on
   * an empty disk perhaps, would show a state from long ago.
   */
  #noteMembership(): void {
    const { role, authority, self } = this.#driver.state;
    const isMember = role.kind === 'backup' && role.matchedSeq > 0 && isInSync(authority, self);
    this.#memberFromSeq = isMember ? (this.#memberFromSeq ?? role.leaderCommitSeq) : undefined;
    if (role.kind !== 'backup') this.#loop.hurry();
  }

  async #confirmLeading(signal: AbortSignal): Promise<void> {
    this.#checkServing();
    const commitSeq = await withSignal(this.#driver.readRound(), signal);
    await this.#applied.reaches(commitSeq, signal);
  }

  async #reachTokens(tokens: readonly ConsistencyToken[], signal: AbortSignal): Promise<void> {
    for (const token of tokens) {
      if (token.shardUID === this.shardUID) await this.#applied.reaches(token.seq, signal);
    }
  }

  #onApplied(): void {
    const serves = this.notServing === undefined;
    if (serves && !this.#served) this.#options.onChange();
    this.#served = serves;
    // The tail moves into the graph only once it serves, so that a start is short.
    if (serves || this.#driver.state.role.kind === 'backup') this.state.index.startMoving();
  }

  #checkServing(): void {
    const because = this.notServing;
    if (because === undefined) return;
    this.#checkOpen();
    throw new ShoalError('NOT_PRIMARY', `shard ${this.shardUID} does not serve here: ${because}`);
  }

  /** Reads that need not be linearizable: of a primary whose term has begun, or of a replica that is in sync and hears from it. */
  #checkReadable(): void {
    this.#checkOpen();
    const because = this.notReadable;
    if (because !== undefined) throw new ShoalError('NOT_IN_SYNC', `shard ${this.shardUID} does not serve reads here: ${because}`);
  }

  #checkOpen(): void {
    if (this.#closed) throw new ShoalError('SHUTTING_DOWN', `shard ${this.shardUID} is closed`);
    if (this.#failure !== undefined) throw new ShoalError('UNAVAILABLE', `shard ${this.shardUID} failed: ${this.#failure.message}`, { cause: this.#failure });
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#writes.giveUpAbove(0, `shard ${this.shardUID} failed while the write was under way`);
    this.#applied.giveUp(new ShoalError('UNAVAILABLE', `shard ${this.shardUID} failed`, { cause: asShoalError(error) }));
    this.#options.onFailure(error);
  }
}

/** What was applied or committed must be in the log, or the disk has lost it. */
function checkLog({ log, shardUID }: ReplicaOptions, { replicaState }: RecoveredReplica): void {
  const { appliedSeq, commitSeq } = replicaState;
  const lost = (what: string, details: Record<string, number>): ShoalError =>
    new ShoalError('CORRUPTION', `the log of shard ${shardUID} ${what}`, { details: { shardUID, ...details } });
  if (log.lastSeq < appliedSeq) throw lost(`ends at seq ${log.lastSeq}, below ${appliedSeq}, which was applied`, { logLastSeq: log.lastSeq, appliedSeq });
  if (log.lastSeq < commitSeq) throw lost(`ends at seq ${log.lastSeq}, below ${commitSeq}, which was committed`, { logLastSeq: log.lastSeq, commitSeq });
  if (log.firstSeq > appliedSeq + 1) {
    throw lost(`begins at seq ${log.firstSeq}, above ${appliedSeq + 1}, which was not applied`, { logFirstSeq: log.firstSeq, appliedSeq });
  }
}
