/**
 * Brings one other replica up: sends what it lacks, in order, as far as its window allows, from memory or from the log.
 * What is lost on the way is sent again when the member says that it does not fit, or when nothing comes back for a while.
 */

import type { Clock } from '../kernel/clock.ts';
import { hasCode } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import type { LogEntry, ReplicaLog } from '../log/log.ts';
import type { EntryBuffer } from './entry-buffer.ts';
import type { MessageTransport } from './messages.ts';
import { addressOf, type LeadingState } from './primary-role.ts';
import type { Progress } from './roles.ts';
import { message } from './state.ts';
import { termAt } from './term-runs.ts';

export interface SenderOptions {
  readonly log: ReplicaLog;
  readonly buffer: EntryBuffer;
  readonly transport: MessageTransport;
  readonly clock: Clock;
  /** Undefined as soon as this replica leads no more. */
  readonly leading: () => LeadingState | undefined;
  /** The log does not reach back to what the member lacks. */
  readonly onTrimmed: (member: Progress) => void;
  readonly onFailure: (error: unknown) => void;
}

export class Sender {
  readonly #options: SenderOptions;
  readonly #pod: string;
  #session = '';
  #nextSeq = 1;
  /** Sent and not answered yet, oldest first. */
  #inFlight: { readonly throughSeq: number; readonly bytes: number }[] = [];
  #inFlightBytes = 0;
  #announcedCommitSeq = 0;
  #reading = false;
  #lastSentMs = 0;
  /** Through what it was ever sent entries, and has answered; since when it owes the rest, however often that is sent again. */
  #sentThroughSeq = 0;
  #answeredThroughSeq = 0;
  #owesSinceMs = 0;
  #lastTryMs: number;

  constructor(options: SenderOptions, pod: string) {
    this.#options = options;
    this.#pod = pod;
    this.#lastTryMs = options.clock.monotonicMs();
  }

  /** How long the member has owed an answer for entries, in milliseconds; 0 when it owes none. */
  owedMs(nowMs: number): number {
    return this.#answeredThroughSeq >= this.#sentThroughSeq ? 0 : nowMs - this.#owesSinceMs;
  }

  /** The process stood still: nobody else is to blame. */
  forgive(nowMs: number): void {
    this.#lastTryMs = nowMs;
    this.#owesSinceMs = nowMs;
  }

  /** Sends what can be sent. */
  pump(): void {
    const found = this.#matched();
    if (found === undefined) return;
    this.#takeAnswers(found.progress);
    while (!this.#reading) {
      const { state, progress } = found;
      const { transport } = this.#options;
      if (this.#nextSeq > state.lastSeq || this.#inFlightBytes >= limits.replicationWindowBytes) return;
      if (transport.queuedBytes(this.#pod) >= limits.replicationWindowBytes) return;
      const batch = this.#fromBuffer(state.lastSeq);
      if (batch.length === 0) return void this.#readLog(state, progress.session);
      this.#send(state, progress, batch);
    }
  }

  /** An empty append, if the member does not know what is committed yet, or has heard nothing for `silenceMs`. */
  announce(nowMs: number, silenceMs: number): void {
    const found = this.#matched();
    if (found === undefined) return;
    const { state, progress } = found;
    if (this.#announcedCommitSeq === state.commitSeq && nowMs - this.#lastSentMs < silenceMs) return;
    this.#sendAppend(state, progress, progress.matchedSeq, []);
  }

  /** Sends again what nobody answered. */
  resend(nowMs: number): void {
    const found = this.#matched();
    if (found === undefined || this.#inFlight.length === 0 || nowMs - this.#lastTryMs < limits.replicationResendMs) return;
    this.#lastTryMs = nowMs;
    this.#restart(found.progress);
    this.pump();
  }

  #matched(): { readonly state: LeadingState; readonly progress: Progress } | undefined {
    const state = this.#options.leading();
    const progress = state?.role.others.find((other) => other.pod === this.#pod);
    return state === undefined || progress?.phase !== 'matched' ? undefined : { state, progress };
  }

  #takeAnswers(progress: Progress): void {
    if (progress.session !== this.#session) {
      this.#session = progress.session;
      this.#announcedCommitSeq = 0;
      this.#sentThroughSeq = this.#answeredThroughSeq = 0;
      this.#restart(progress);
    }
    let answered = 0;
    while (answered < this.#inFlight.length && this.#inFlight[answered]!.throughSeq <= progress.durableSeq) {
      this.#inFlightBytes -= this.#inFlight[answered]!.bytes;
      answered++;
    }
    if (answered > 0) {
      this.#inFlight.splice(0, answered);
      this.#lastTryMs = this.#options.clock.monotonicMs();
    }
    if (progress.durableSeq > this.#answeredThroughSeq) {
      this.#answeredThroughSeq = progress.durableSeq;
      this.#owesSinceMs = this.#options.clock.monotonicMs();
    }
    // A report may have said that less was there than was thought.
    if (progress.matchedSeq < this.#nextSeq - 1 && this.#inFlight.length === 0) this.#nextSeq = progress.matchedSeq + 1;
    this.#nextSeq = Math.max(this.#nextSeq, progress.durableSeq + 1);
  }

  #restart(progress: Progress): void {
    this.#nextSeq = progress.matchedSeq + 1;
    this.#inFlight = [];
    this.#inFlightBytes = 0;
  }

  #fromBuffer(lastSeq: number): LogEntry[] {
    const batch: LogEntry[] = [];
    let bytes = 0;
    for (let seq = this.#nextSeq; seq <= lastSeq && batch.length < limits.replicationBatchEntryCountMax; seq++) {
      const entry = this.#options.buffer.find(seq);
      if (entry === undefined || (batch.length > 0 && bytes + entry.payload.length > limits.replicationBatchBytesMax)) break;
      bytes += entry.payload.length;
      batch.push(entry);
    }
    return batch;
  }

  async #readLog(state: LeadingState, session: string): Promise<void> {
    const fromSeq = this.#nextSeq;
    const { term } = state;
    this.#reading = true;
    const batch: LogEntry[] = [];
    try {
      let bytes = 0;
      const throughSeq = Math.min(state.durableSeq, fromSeq + limits.replicationBatchEntryCountMax - 1);
      for await (const entry of this.#options.log.read(fromSeq, throughSeq)) {
        batch.push(entry);
        bytes += entry.payload.length;
        if (bytes >= limits.replicationBatchBytesMax) break;
      }
    } catch (error) {
      const found = this.#matched();
      if (!hasCode(error, 'UNAVAILABLE')) this.#options.onFailure(error);
      else if (found !== undefined) this.#options.onTrimmed(found.progress);
      return;
    } finally {
      this.#reading = false;
    }
    const now = this.#matched();
    if (now === undefined || now.state.term !== term || now.progress.session !== session || this.#nextSeq !== fromSeq || batch.length === 0) return;
    this.#send(now.state, now.progress, batch);
    this.pump();
  }

  #send(state: LeadingState, progress: Progress, batch: readonly LogEntry[]): void {
    const throughSeq = batch.at(-1)!.seq;
    const bytes = batch.reduce((sum, entry) => sum + entry.payload.length, 0);
    if (this.#inFlight.length === 0) this.#lastTryMs = this.#options.clock.monotonicMs();
    if (this.#answeredThroughSeq >= this.#sentThroughSeq) this.#owesSinceMs = this.#options.clock.monotonicMs();
    this.#sentThroughSeq = Math.max(throughSeq, this.#sentThroughSeq);
    this.#inFlight.push({ throughSeq, bytes });
    this.#inFlightBytes += bytes;
    this.#nextSeq = throughSeq + 1;
    this.#sendAppend(state, progress, batch[0]!.seq - 1, batch);
  }

  #sendAppend(state: LeadingState, progress: Progress, prevSeq: number, entries: readonly LogEntry[]): void {
    const { commitSeq } = state;
    this.#lastSentMs = this.#options.clock.monotonicMs();
    this.#announcedCommitSeq = commitSeq;
    const prevTerm = termAt(state.runs, prevSeq) ?? 0;
    this.#options.transport.send(message(state, addressOf(progress), { kind: 'append', prevSeq, prevTerm, entries, commitSeq }));
  }
}
