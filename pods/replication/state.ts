/** What the protocol core remembers, hears and asks for: the vocabulary of `step` in core.ts. */

import { noMutations, type Mutations } from '../kernel/mutations.ts';
import type { LogEntry } from '../log/log.ts';
import type { Authority } from './authority.ts';
import type { Address, MemberId, Message, MessageBody } from './messages.ts';
import type { Role } from './roles.ts';
import type { TermRuns } from './term-runs.ts';

export interface CoreStart {
  readonly collectionUID: string;
  readonly shardUID: string;
  /** The session is random per process start (rule W0). */
  readonly self: Address;
  /** The newest term made durable, by itself or with an entry. */
  readonly term: number;
  /** Of the log, as far back as it knows. */
  readonly runs: TermRuns;
  /** The oldest entry that can be read. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly commitSeq: number;
  readonly appliedSeq: number;
  readonly mutations?: Mutations;
}

export interface CoreState {
  readonly collectionUID: string;
  readonly shardUID: string;
  readonly self: Address;
  /** Never falls; from `durableTerm` on it is on its way to the disk. */
  readonly term: number;
  readonly durableTerm: number;
  /** Of the log, and of the entry before its first one, so that what follows it can be matched. */
  readonly runs: TermRuns;
  readonly firstSeq: number;
  /** Newest seq assigned or stored. */
  readonly lastSeq: number;
  readonly durableSeq: number;
  readonly commitSeq: number;
  readonly appliedSeq: number;
  /** The newest that is known. */
  readonly authority: Authority | undefined;
  readonly role: Role;
  readonly mutations: Mutations;
}

export type CoreInput =
  /** `read`: a linearizable GET that began after the core asked for it. `watch`: perhaps old. */
  | { readonly kind: 'authority'; readonly authority: Authority; readonly source: 'watch' | 'read' }
  | { readonly kind: 'cas-confirmed'; readonly authority: Authority }
  /** Refused, or nobody knows: the object is read again. */
  | { readonly kind: 'cas-ambiguous' }
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'propose'; readonly entryCount: number }
  /** The log here has the entry (throughSeq, term) and all before it on the disk. */
  | { readonly kind: 'durable'; readonly throughSeq: number; readonly term: number }
  | { readonly kind: 'term-durable'; readonly term: number }
  | { readonly kind: 'applied'; readonly throughSeq: number }
  /** The log dropped what lies before `firstSeq` (rule T1). */
  | { readonly kind: 'trimmed'; readonly firstSeq: number }
  /** A member has been silent for a while: ask it again. */
  | { readonly kind: 'ask-again'; readonly pod: string }
  /** W4: a member does not answer, or not fast enough. */
  | { readonly kind: 'suspect'; readonly member: MemberId; readonly because: string }
  /** A member needs entries that the log does not have any more. */
  | { readonly kind: 'needs-snapshot'; readonly member: MemberId }
  /** R1: starts a round; reads that arrived before it wait for its end. */
  | { readonly kind: 'read-round' }
  /** R1: questions or answers of the round under way may have been lost. */
  | { readonly kind: 'check-again' }
  /** As backup: the process is about to end. */
  | { readonly kind: 'leave' }
  /** S1. */
  | { readonly kind: 'stop-writes' }
  | { readonly kind: 'resume-writes' }
  /** The log refused entries above `lastSeq`: the term cannot go on without giving one of its seqs twice. */
  | { readonly kind: 'step-down'; readonly lastSeq: number; readonly because: string };

export type MetadataRequest =
  /** A linearizable GET, repeated until it succeeds. */
  | { readonly kind: 'read' }
  /** Compare-and-swap of inSync; without `inSync` only `status.nonce` changes, to move the version (rule A1). */
  | { readonly kind: 'cas'; readonly resourceVersion: string; readonly inSync?: readonly MemberId[]; readonly configVersion: number };

export interface CoreOutput {
  readonly state: CoreState;
  readonly send?: readonly Message[];
  /** To be made durable before anything below is; answered by `term-durable`. */
  readonly adoptTerm?: number;
  /** As primary: entries to make and log, all of the state's term; the first of a new term is its no-op. */
  readonly append?: { readonly term: number; readonly firstSeq: number; readonly entryCount: number };
  /** As backup: entries to log, from `fromSeq` on; what the log has from there is dropped in the same write (rule P3). */
  readonly store?: { readonly fromSeq: number; readonly replace: boolean; readonly entries: readonly LogEntry[] };
  /** Everything through this seq is committed, when that moved. */
  readonly commitThroughSeq?: number;
  readonly metadata?: MetadataRequest;
  /** R1: this round, and all before it, is complete. */
  readonly roundComplete?: number;
  /** As backup: the primary says that its log does not reach back to what is missing here. */
  readonly takeSnapshotFrom?: Address;
  /** It leads no more: the fate of entries that are not committed is unknown. */
  readonly steppedDown?: boolean;
  readonly because: string;
}

export function startCore(start: CoreStart): CoreState {
  return {
    ...start,
    durableTerm: start.term,
    durableSeq: start.lastSeq,
    authority: undefined,
    role: { kind: 'waiting' },
    mutations: start.mutations ?? noMutations,
  };
}

/** Gives up leading. The entries stay: the next primary decides about them (rule P3). */
export function stepDown(state: CoreState, because: string): CoreOutput {
  const durableSeq = Math.min(state.durableSeq, state.lastSeq);
  return { state: { ...state, durableSeq, role: { kind: 'waiting' } }, steppedDown: state.role.kind === 'primary', because };
}

export function nothing(state: CoreState, because: string): CoreOutput {
  return { state, because };
}

export function message(state: CoreState, to: Address, body: MessageBody): Message {
  const { collectionUID, shardUID, self, term } = state;
  return { collectionUID, shardUID, term, from: self, to, body };
}
