/**
 * Runs the protocol core of one replica: gives it log, network, clock and the consensus store, and does what it asks for.
 * It decides nothing that safety depends on; it does decide who is silent for too long, and what is sent when.
 */

import assert from 'node:assert/strict';
import type { Clock, Timer } from '../kernel/clock.ts';
import { asShoalError, ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { Logger } from '../kernel/logger.ts';
import { noMutations, type Mutations } from '../kernel/mutations.ts';
import type { LogEntry, ReplicaLog } from '../log/log.ts';
import { includesMember, type Authority, type AuthorityStore } from './authority.ts';
import { AuthorityRequests } from './authority-requests.ts';
import { step } from './core.ts';
import { mayRemove } from './changes.ts';
import { EntryBuffer } from './entry-buffer.ts';
import type { Address, MemberId, Message, MessageTransport } from './messages.ts';
import { isLeading, maximalInSync, type LeadingState } from './primary-role.ts';
import type { Progress } from './roles.ts';
import { ReadBarriers } from './read-barriers.ts';
import { Sender } from './sender.ts';
import { startCore, type CoreInput, type CoreOutput, type CoreState } from './state.ts';
import { joined } from './term-runs.ts';
import { WriteStop } from './write-stop.ts';

export interface ReplicationEvents {
  /** Everything through this seq is committed. */
  committed(throughSeq: number): void;
  /** Entries above the commit seq that this replica assigned have an unknown fate. */
  steppedDown(because: string): void;
  /** Entries above this seq were kept nowhere. */
  refused(aboveSeq: number, reason: ShoalError): void;
  takeSnapshotFrom(source: Address): void;
  /** Log or store failed in a way that does not heal (rule F1). */
  failed(error: ShoalError): void;
}

export interface DriverOptions {
  readonly collectionUID: string;
  readonly shardUID: string;
  readonly self: Address;
  readonly log: ReplicaLog;
  readonly commitSeq: number;
  readonly appliedSeq: number;
  /** Newest term that the store knows of. */
  readonly term: number;
  readonly transport: MessageTransport;
  readonly authorityStore: AuthorityStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Payload of the entry that begins a term. */
  readonly noOpPayload: Uint8Array;
  readonly events: ReplicationEvents;
  readonly mutations?: Mutations;
}

export class ReplicationDriver {
  readonly #options: DriverOptions;
  readonly #buffer = new EntryBuffer(limits.replicationBufferBytesMax);
  readonly #senders = new Map<string, Sender>();
  /** When something valid was last heard from a pod, and when it was last asked. */
  readonly #heardMs = new Map<string, number>();
  readonly #askedMs = new Map<string, number>();
  /** Members in sync that do not answer or not fast enough, by pod, and why. */
  readonly #missing = new Map<string, { readonly member: MemberId; readonly because: string }>();
  readonly #barriers: ReadBarriers;
  readonly #requests: AuthorityRequests;
  readonly #writeStop: WriteStop;
  readonly #stop = new AbortController();
  readonly #inputs: CoreInput[] = [];
  #stepping = false;
  #state: CoreState;
  #announceTimer: Timer | undefined;
  /** Of entries on their way to the disk: how many writes, and when one of them was begun with none before it, or ended. */
  #openWriteCount = 0;
  #diskMovedMs = 0;
  #lastTickMs: number;

  constructor(options: DriverOptions) {
    const { log } = options;
    const baseTerm = log.termAt(log.firstSeq - 1);
    const base = baseTerm === undefined || log.firstSeq === 1 ? [] : [{ term: baseTerm, firstSeq: log.firstSeq - 1, lastSeq: log.firstSeq - 1 }];
    this.#options = options;
    const { collectionUID, shardUID, self, commitSeq, appliedSeq } = options;
    this.#state = startCore({
      collectionUID,
      shardUID,
      self,
      commitSeq,
      appliedSeq,
      term: Math.max(options.term, log.adoptedTerm),
      runs: joined([...base, ...log.termRuns()]),
      firstSeq: log.firstSeq,
      lastSeq: log.lastSeq,
      mutations: options.mutations ?? noMutations,
    });
    this.#lastTickMs = options.clock.monotonicMs();
    this.#barriers = new ReadBarriers(() => this.#step({ kind: 'read-round' }));
    const state = (): CoreState => this.#state;
    const step = (input: CoreInput): void => this.#step(input);
    const { clock, logger, authorityStore: store } = options;
    this.#requests = new AuthorityRequests({ store, clock, logger, closed: this.#stop.signal, state, step });
    this.#writeStop = new WriteStop({ clock, state, step, read: () => this.#requests.read() });
  }

  get state(): CoreState {
    return this.#state;
  }

  /** Of a primary: how long the store of records, or its disk, has had something to do without getting on, in milliseconds. */
  get blockedMs(): number {
    if (!isLeading(this.#state)) return 0;
    const nowMs = this.#options.clock.monotonicMs();
    return Math.max(nowMs - (this.#requests.blockedSinceMs ?? nowMs), this.#openWriteCount === 0 ? 0 : nowMs - this.#diskMovedMs);
  }

  /** The object has changed, or was read for the first time. */
  authorityChanged(authority: Authority): void {
    this.#step({ kind: 'authority', authority, source: 'watch' });
  }

  receive(message: Message): void {
    if (this.#stop.signal.aborted) return;
    this.#heard(message.from.pod);
    this.#step({ kind: 'message', message });
    this.#senders.get(message.from.pod)?.pump();
  }

  /** W1: assigns the next seq to an entry, logs it and sends it. NOT_PRIMARY, NOT_ENOUGH_IN_SYNC or OVERLOADED: nothing was done. */
  propose(payload: Uint8Array): { readonly term: number; readonly seq: number } {
    assert(!this.#stepping, 'nothing is proposed from within a step');
    if (this.#options.log.lastSeq !== this.#state.lastSeq) throw new ShoalError('NOT_PRIMARY', 'the log refused entries, so the term is about to end');
    for (const { member, because } of this.#missing.values()) {
      if (this.#isNeeded(member)) throw new ShoalError('NOT_ENOUGH_IN_SYNC', `W5: ${because}, and without it fewer than minInSync would be left`);
    }
    // An entry that was assigned and is refused then ends the term.
    if (this.#options.log.isCrowded) throw new ShoalError('OVERLOADED', 'too much waits for the disk of this pod');
    const output = step(this.#state, { kind: 'propose', entryCount: 1 });
    if (output.append === undefined) throw new ShoalError(isLeading(this.#state) && !this.#state.role.writesStopped ? 'NOT_ENOUGH_IN_SYNC' : 'NOT_PRIMARY', output.because);
    const { term, firstSeq: seq } = output.append;
    this.#state = output.state;
    this.#append([{ term, seq, payload }]);
    return { term, seq };
  }

  /** R1: resolves with the commit seq of the moment when every member of maximalInSync had said that it knows no newer term. */
  async readRound(): Promise<number> {
    if (!isLeading(this.#state)) throw new ShoalError('NOT_PRIMARY', 'it does not lead');
    await this.#barriers.wait();
    return this.#state.commitSeq;
  }

  /** S1: resolves when everything assigned is committed; writes stay stopped for `limits.handoverMsMax`. */
  stopWrites(signal: AbortSignal): Promise<{ readonly term: number; readonly lastSeq: number }> {
    return this.#writeStop.stop(signal);
  }

  applied(throughSeq: number): void {
    this.#step({ kind: 'applied', throughSeq });
  }

  /** Committed entries of fromSeq ≤ seq ≤ throughSeq, from memory or from the log. */
  async *committed(fromSeq: number, throughSeq: number): AsyncGenerator<LogEntry> {
    assert(throughSeq <= this.#state.commitSeq, 'only what is committed is given out');
    let seq = fromSeq;
    for (let entry = this.#buffer.find(seq); entry !== undefined && seq <= throughSeq; entry = this.#buffer.find(++seq)) yield entry;
    if (seq <= throughSeq) yield* this.#options.log.read(seq, throughSeq);
  }

  /** T1: what the log has to keep for members that writes wait for: everything above this. */
  get neededAboveSeq(): number {
    const state = this.#state;
    if (!isLeading(state)) return state.commitSeq;
    const durable = maximalInSync(state.role).map((member) => state.role.others.find((other) => other.pod === member.pod)?.durableSeq ?? state.durableSeq);
    return Math.min(state.commitSeq, ...durable);
  }

  trimmed(): void {
    this.#step({ kind: 'trimmed', firstSeq: this.#options.log.firstSeq });
  }

  /** Called several times a second by the pod. */
  tick(): void {
    const nowMs = this.#options.clock.monotonicMs();
    const stoodStill = nowMs - this.#lastTickMs > limits.heartbeatMs * 2;
    this.#lastTickMs = nowMs;
    if (isLeading(this.#state)) this.#tickAsPrimary(this.#state, nowMs, stoodStill);
    else this.#tickAsBackup(nowMs);
  }

  /** Nothing is sent, logged or told any more; a backup has said so to its primary. */
  close(): void {
    this.#step({ kind: 'leave' });
    this.#stop.abort(new ShoalError('SHUTTING_DOWN', 'the replica is closed'));
    this.#announceTimer?.cancel();
    this.#writeStop.close();
    this.#endTerm('the replica is closed');
  }

  #tickAsPrimary(state: LeadingState, nowMs: number, stoodStill: boolean): void {
    const awaited = maximalInSync(state.role);
    if (state.role.round > state.role.roundComplete) this.#step({ kind: 'check-again' });
    for (const progress of state.role.others) {
      const { pod } = progress;
      const sender = this.#sender(pod);
      if (stoodStill) {
        this.#heardMs.set(pod, nowMs);
        sender.forgive(nowMs);
      }
      const silentMs = nowMs - (this.#heardMs.get(pod) ?? this.#heard(pod));
      const askAgain = progress.phase !== 'matched' || silentMs > limits.heartbeatMs * 2;
      if (askAgain && nowMs - (this.#askedMs.get(pod) ?? 0) >= limits.heartbeatMs) {
        this.#askedMs.set(pod, nowMs);
        this.#step({ kind: 'ask-again', pod });
      }
      this.#missing.delete(pod);
      // Two, while one incarnation takes the other's place.
      for (const member of awaited) if (member.pod === pod) this.#suspect(member, progress, silentMs, sender.owedMs(nowMs));
      sender.resend(nowMs);
      sender.announce(nowMs, limits.heartbeatMs);
    }
  }

  #suspect(member: MemberId, progress: Progress, silentMs: number, owedMs: number): void {
    let because: string | undefined;
    if (progress.incarnation !== '' && progress.incarnation !== member.incarnation) because = `${member.pod} holds another incarnation now`;
    else if (silentMs > limits.memberSuspectMs) because = `${member.pod} has been silent for ${Math.round(silentMs)} ms`;
    else if (owedMs > limits.memberSlowMs) because = `${member.pod} has stored nothing for ${Math.round(owedMs)} ms`;
    if (because === undefined) return;
    this.#step({ kind: 'suspect', member, because });
    if (this.#isNeeded(member)) this.#missing.set(member.pod, { member, because });
  }

  /** Rule W5: in sync, and to be waited for because it cannot be taken out. */
  #isNeeded(member: MemberId): boolean {
    return isLeading(this.#state) && includesMember(this.#state.role.authority.inSync, member) && !mayRemove(this.#state, member);
  }

  /** Says again that it is here, in case the primary does not know. */
  #tickAsBackup(nowMs: number): void {
    const { authority } = this.#state;
    if (authority === undefined) return;
    const { pod } = authority.primary;
    const silentMs = nowMs - (this.#heardMs.get(pod) ?? 0);
    if (silentMs < limits.heartbeatMs * 2 || nowMs - (this.#askedMs.get(pod) ?? 0) < limits.heartbeatMs * 2) return;
    this.#askedMs.set(pod, nowMs);
    this.#step({ kind: 'authority', authority, source: 'watch' });
  }

  #heard(pod: string): number {
    const nowMs = this.#options.clock.monotonicMs();
    this.#heardMs.set(pod, nowMs);
    return nowMs;
  }

  /** One input after another: what follows from a step waits until it is done. */
  #step(input: CoreInput): void {
    this.#inputs.push(input);
    if (this.#stepping || this.#stop.signal.aborted) return;
    this.#stepping = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) this.#do(step(this.#state, next));
    } finally {
      this.#stepping = false;
    }
  }

  #do(output: CoreOutput): void {
    const before = this.#state;
    this.#state = output.state;
    if (output.steppedDown === true) this.#endTerm(output.because);
    if (output.adoptTerm !== undefined) this.#adoptTerm(output.adoptTerm);
    if (output.append !== undefined) {
      this.#options.logger.info({ shardUID: this.#state.shardUID, term: output.append.term }, output.because);
      this.#append([{ term: output.append.term, seq: output.append.firstSeq, payload: this.#options.noOpPayload }]);
    }
    if (output.store !== undefined) this.#store(output.store);
    for (const message of output.send ?? []) this.#options.transport.send(message);
    if (output.metadata !== undefined) this.#requests.ask(output.metadata, output.because);
    if (output.commitThroughSeq !== undefined) this.#committed(output.commitThroughSeq);
    if (output.roundComplete !== undefined) this.#barriers.completed(output.roundComplete);
    if (output.takeSnapshotFrom !== undefined) this.#options.events.takeSnapshotFrom(output.takeSnapshotFrom);
    if (isLeading(this.#state) && before.role !== this.#state.role) this.#pumpAll();
  }

  #endTerm(because: string): void {
    this.#barriers.reset(new ShoalError('NOT_PRIMARY', because));
    this.#senders.clear();
    this.#heardMs.clear();
    this.#askedMs.clear();
    this.#missing.clear();
    this.#requests.termEnded();
    this.#writeStop.wake();
    this.#options.events.steppedDown(because);
  }

  #adoptTerm(term: number): void {
    const durable = this.#mutated('term-not-durable') ? Promise.resolve() : this.#options.log.adoptTerm(term);
    durable.then(
      () => this.#step({ kind: 'term-durable', term }),
      (error: unknown) => this.#logFailed(error),
    );
  }

  /** As primary: entries of its own. */
  #append(entries: readonly LogEntry[]): void {
    this.#buffer.add(entries);
    this.#whenLogged(this.#options.log.append(entries), entries);
    this.#pumpAll();
  }

  /** As backup. */
  #store({ fromSeq, replace, entries }: NonNullable<CoreOutput['store']>): void {
    this.#buffer.add(entries);
    const { log } = this.#options;
    this.#whenLogged(replace ? log.replaceSuffix(fromSeq, entries) : log.append(entries), entries);
  }

  #whenLogged(logged: Promise<void>, entries: readonly LogEntry[]): void {
    const { seq, term } = entries.at(-1)!;
    if (this.#mutated('acknowledge-before-sync')) this.#step({ kind: 'durable', throughSeq: seq, term });
    const { clock, log } = this.#options;
    if (this.#openWriteCount++ === 0) this.#diskMovedMs = clock.monotonicMs();
    const settled = (): void => {
      this.#openWriteCount--;
      this.#diskMovedMs = clock.monotonicMs();
    };
    logged.then(
      () => {
        settled();
        // Less than was written, when it is about to be replaced: the same entries may come back behind that.
        this.#step({ kind: 'durable', throughSeq: Math.min(seq, log.durableSeq), term });
        this.#buffer.trim(this.#state.durableSeq);
      },
      (error: unknown) => {
        settled();
        this.#logFailed(error);
      },
    );
  }

  /** A full disk refuses entries; anything else is final. */
  #logFailed(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    const reason = asShoalError(error);
    const { lastSeq } = this.#options.log;
    this.#buffer.cutFrom(lastSeq + 1);
    const heals = reason.code === 'STORAGE_READ_ONLY' || reason.code === 'OVERLOADED';
    // Nobody else has what was refused here, if there is nobody else.
    if (heals && isLeading(this.#state) && this.#state.role.others.length === 0) this.#options.events.refused(lastSeq, reason);
    this.#step({ kind: 'step-down', lastSeq, because: reason.message });
    if (!heals) this.#options.events.failed(reason);
  }

  #committed(throughSeq: number): void {
    this.#writeStop.wake();
    this.#options.events.committed(throughSeq);
    if (!isLeading(this.#state) || this.#state.role.others.length === 0) return;
    this.#announceTimer ??= this.#options.clock.after(limits.commitAnnounceMs, () => {
      this.#announceTimer = undefined;
      const nowMs = this.#options.clock.monotonicMs();
      for (const sender of this.#senders.values()) sender.announce(nowMs, Infinity);
    });
  }

  #pumpAll(): void {
    if (!isLeading(this.#state)) return;
    for (const { pod } of this.#state.role.others) this.#sender(pod).pump();
  }

  #sender(pod: string): Sender {
    const { log, transport, clock, events } = this.#options;
    let sender = this.#senders.get(pod);
    if (sender === undefined) {
      sender = new Sender(
        {
          log,
          transport,
          clock,
          buffer: this.#buffer,
          leading: () => (isLeading(this.#state) && !this.#stop.signal.aborted ? this.#state : undefined),
          onTrimmed: (member) => this.#step({ kind: 'needs-snapshot', member }),
          onFailure: (error) => events.failed(asShoalError(error)),
        },
        pod,
      );
      this.#senders.set(pod, sender);
    }
    return sender;
  }

  #mutated(name: Parameters<Mutations['has']>[0]): boolean {
    return this.#state.mutations.has(name);
  }
}
