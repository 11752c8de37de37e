/** Opens the log of a pod, and is its face: the replicas' logs over one writer, one state and one set of segments. */

import assert from 'node:assert';
import type { Clock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import type { FileSystem } from '../kernel/file-system.ts';
import { limits } from '../kernel/limits.ts';
import { readEntries } from './entry-reader.ts';
import { unavailable } from './faults.ts';
import { marker, recordHeaderBytes, type RecordContent } from './format.ts';
import { FrameBuilder } from './frame-builder.ts';
import { GroupWriter, type GroupBounds } from './group-writer.ts';
import { TermHistory } from './history.ts';
import type { LocalReplica, LogEntry, LogStatistics, OldestNeeded, PodLog, ReplicaLog, TermRun } from './log.ts';
import { recover, type Repair } from './recovery.ts';
import { SegmentStore } from './segment-store.ts';
import type { LogState } from './state.ts';
import { Trimmer } from './trimmer.ts';
import { verifySegments } from './verify.ts';

export interface PodLogOptions {
  readonly directory: string;
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  /** Called for each torn frame or unfinished segment that open removed. */
  readonly onRepair?: (repair: Repair) => void;
  /** Smaller bounds than those of `limits`, for tests. */
  readonly bounds?: Partial<GroupBounds>;
  /** Never syncs anything, so that a test of durability can show that it would notice. Loses data. */
  readonly unsafeSkipSync?: boolean;
}

/** Rejects with CORRUPTION, FORMAT_TOO_NEW, or UNAVAILABLE when the file system failed. */
export async function openPodLog(options: PodLogOptions): Promise<PodLog> {
  const store = new SegmentStore(options.fileSystem, options.directory, options.unsafeSkipSync ?? false);
  const builder = new FrameBuilder();
  try {
    const { state, repairs } = await recover(store, builder);
    for (const repair of repairs) options.onRepair?.(repair);
    return new OpenPodLog(store, state, builder, options);
  } catch (error) {
    await store.close().catch(() => undefined);
    throw unavailable(`the log in ${options.directory} cannot be opened`, error);
  }
}

class OpenPodLog implements PodLog {
  readonly store: SegmentStore;
  readonly state: LogState;
  readonly writer: GroupWriter;
  readonly trimmer: Trimmer;
  readonly #logs = new Map<LocalReplica, OpenReplicaLog>();
  readonly #forgetting = new Set<LocalReplica>();

  constructor(store: SegmentStore, state: LogState, builder: FrameBuilder, options: PodLogOptions) {
    this.store = store;
    this.state = state;
    this.trimmer = new Trimmer(store, state);
    const bounds: GroupBounds = {
      segmentBytes: limits.logSegmentBytes,
      groupBytesMax: limits.logGroupBytesMax,
      groupRecordCountMax: limits.logGroupRecordCountMax,
      queueBytesMax: limits.logQueueBytesMax,
      queueRecordCountMax: limits.logQueueRecordCountMax,
      ...options.bounds,
    };
    this.writer = new GroupWriter({ store, state, builder, clock: options.clock, bounds, onRefused: () => this.#backToDurable() });
  }

  get failure(): Error | undefined {
    return this.writer.failure;
  }

  replicas(): readonly LocalReplica[] {
    return [...this.state.replicas.keys()];
  }

  replica(localReplica: LocalReplica): ReplicaLog {
    assert(Number.isInteger(localReplica) && localReplica >= 0 && localReplica < 2 ** 32, `${localReplica} is no replica number`);
    assert(!this.#forgetting.has(localReplica) && !this.state.isForgotten(localReplica), `replica ${localReplica} is forgotten`);
    let log = this.#logs.get(localReplica);
    if (log === undefined) {
      log = new OpenReplicaLog(this, localReplica);
      this.#logs.set(localReplica, log);
    }
    return log;
  }

  async forget(localReplica: LocalReplica): Promise<void> {
    if (this.#forgetting.has(localReplica) || this.state.isForgotten(localReplica)) return;
    const records = [marker('forget', localReplica, 0, 0)];
    this.writer.admit(records);
    this.#forgetting.add(localReplica);
    try {
      await this.writer.enqueue(records);
      this.#logs.delete(localReplica);
      this.trimmer.unreleaseAfter(localReplica, 0);
    } finally {
      this.#forgetting.delete(localReplica);
    }
    await this.trim();
  }

  isForgetting(localReplica: LocalReplica): boolean {
    return this.#forgetting.has(localReplica) || this.state.isForgotten(localReplica);
  }

  /** Segments that could not be deleted are tried again with the next release: it is no reason to fail. */
  async trim(): Promise<void> {
    await this.trimmer.trim().catch(() => undefined);
  }

  oldestNeeded(): OldestNeeded | undefined {
    return this.trimmer.oldestNeeded();
  }

  statistics(): LogStatistics {
    const { groupCount, recordCount, writtenBytesTotal, syncMsTotal, queuedRecordCount, queuedBytes } = this.writer;
    const { segments } = this.store;
    const sizeBytes = segments.reduce((total, segment) => total + segment.sizeBytes, 0);
    return { segmentCount: segments.length, sizeBytes, groupCount, recordCount, writtenBytesTotal, syncMsTotal, queuedRecordCount, queuedBytes };
  }

  verify(signal?: AbortSignal): Promise<{ segments: number; records: number; bytes: number }> {
    return this.trimmer.without(() => verifySegments(this.store, this.state, signal));
  }

  async close(): Promise<void> {
    await this.writer.close();
    await this.trimmer.idle();
    await this.store.close();
  }

  #backToDurable(): void {
    for (const log of this.#logs.values()) log.backToDurable();
  }
}

class OpenReplicaLog implements ReplicaLog {
  readonly localReplica: LocalReplica;
  readonly #pod: OpenPodLog;
  /** With everything that is queued. */
  #queued: TermHistory;
  /** Below every seq that a queued truncation or reset may drop; Infinity when none is queued. */
  #durableBelow = Infinity;
  #rewritesQueued = 0;
  #resetsQueued = 0;

  constructor(pod: OpenPodLog, localReplica: LocalReplica) {
    this.localReplica = localReplica;
    this.#pod = pod;
    this.#queued = this.#durable()?.clone() ?? new TermHistory();
  }

  get firstSeq(): number {
    if (this.#resetsQueued > 0) return this.#queued.firstSeq;
    return Math.max(this.#queued.firstSeq, this.#durable()?.firstSeq ?? 1);
  }

  get lastSeq(): number {
    return this.#queued.lastSeq;
  }

  get lastTerm(): number {
    return this.#queued.lastTerm;
  }

  get adoptedTerm(): number {
    return this.#queued.adoptedTerm;
  }

  get durableSeq(): number {
    return Math.min(this.#durable()?.lastSeq ?? 0, this.#durableBelow - 1);
  }

  get isCrowded(): boolean {
    return this.#pod.writer.isCrowded;
  }

  termAt(seq: number): number | undefined {
    return seq < this.firstSeq - 1 ? undefined : this.#queued.termAt(seq);
  }

  termRuns(): readonly TermRun[] {
    const { firstSeq } = this;
    return this.#queued.runs
      .filter((run) => run.lastSeq >= firstSeq)
      .map((run) => (run.firstSeq >= firstSeq ? run : { ...run, firstSeq }));
  }

  async append(entries: readonly LogEntry[]): Promise<void> {
    if (entries.length === 0) return;
    mustFollow(entries, this.lastSeq, this.lastTerm);
    const records = this.#admitted([], entries);
    for (const { seq, term } of entries) this.#queued.append(seq, term);
    await this.#pod.writer.enqueue(records);
  }

  async adoptTerm(term: number): Promise<void> {
    assert(Number.isSafeInteger(term) && term >= 0, `${term} is no term`);
    if (term <= (this.#durable()?.adoptedTerm ?? 0)) return;
    const isNew = term > this.adoptedTerm;
    const records = this.#admitted(isNew ? [marker('adopt', this.localReplica, 0, term)] : [], []);
    this.#queued.adopt(term);
    await this.#pod.writer.enqueue(records);
  }

  async replaceSuffix(fromSeq: number, replacement: readonly LogEntry[]): Promise<void> {
    const { firstSeq, lastSeq } = this;
    assert(fromSeq >= firstSeq && fromSeq <= lastSeq + 1, `cannot replace from ${fromSeq}: kept are ${firstSeq} to ${lastSeq}`);
    const termBefore = this.#queued.termAt(fromSeq - 1);
    assert(termBefore !== undefined, `the term before ${fromSeq} is not known`);
    mustFollow(replacement, fromSeq - 1, termBefore);
    const records = this.#admitted([marker('truncate', this.localReplica, fromSeq, termBefore)], replacement);
    this.#queued.truncate(fromSeq, termBefore);
    for (const { seq, term } of replacement) this.#queued.append(seq, term);
    await this.#rewrite(fromSeq, records);
  }

  async reset(seq: number, term: number): Promise<void> {
    const records = this.#admitted([marker('reset', this.localReplica, seq, term)], []);
    this.#queued.reset(seq, term);
    this.#resetsQueued++;
    await this.#rewrite(1, records).finally(() => this.#resetsQueued--);
    await this.#pod.trim();
  }

  async *read(fromSeq: number, throughSeq: number, signal?: AbortSignal): AsyncGenerator<LogEntry, void, undefined> {
    const { localReplica } = this;
    const target = { localReplica, fromSeq, throughSeq: Math.min(throughSeq, this.durableSeq) };
    yield* readEntries(this.#pod.store, this.#pod.state, target, signal);
  }

  async release(seq: number): Promise<void> {
    this.#pod.trimmer.release(this.localReplica, Math.min(seq, this.durableSeq));
    await this.#pod.trim();
  }

  backToDurable(): void {
    this.#queued = this.#durable()?.clone() ?? new TermHistory();
  }

  #durable(): TermHistory | undefined {
    return this.#pod.state.replicas.get(this.localReplica)?.history;
  }

  #admitted(first: readonly RecordContent[], entries: readonly LogEntry[]): RecordContent[] {
    assert(!this.#pod.isForgetting(this.localReplica), `replica ${this.localReplica} is forgotten`);
    const tooLarge = entries.find(({ payload }) => recordHeaderBytes + payload.length > limits.logRecordBytesMax);
    if (tooLarge !== undefined) {
      throw new ShoalError('INVALID_ARGUMENT', `a log record of ${tooLarge.payload.length} bytes is larger than the limit`, {
        details: { logRecordBytesMax: limits.logRecordBytesMax },
      });
    }
    const { localReplica } = this;
    const entryRecords = entries.map(({ term, seq, payload }) => ({ kind: 'entry', localReplica, term, seq, payload }) as const);
    const records = [...first, ...entryRecords];
    this.#pod.writer.admit(records);
    return records;
  }

  async #rewrite(fromSeq: number, records: readonly RecordContent[]): Promise<void> {
    this.#rewritesQueued++;
    this.#durableBelow = Math.min(this.#durableBelow, fromSeq);
    this.#pod.trimmer.unreleaseAfter(this.localReplica, fromSeq - 1);
    try {
      await this.#pod.writer.enqueue(records);
    } finally {
      if (--this.#rewritesQueued === 0) this.#durableBelow = Infinity;
    }
  }
}

/** A programmer's error is found before anything has changed. */
function mustFollow(entries: readonly LogEntry[], lastSeq: number, lastTerm: number): void {
  let seq = lastSeq;
  let term = lastTerm;
  for (const entry of entries) {
    assert(entry.seq === seq + 1, `seq ${entry.seq} does not follow ${seq}`);
    assert(entry.term >= term, `term ${entry.term} falls below ${term}`);
    ({ seq, term } = entry);
  }
}
