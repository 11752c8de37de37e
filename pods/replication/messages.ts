/**
 * What the replicas of a shard say to each other. Messages may be lost, doubled, delayed and reordered: every one says
 * to whom and in which term it belongs, and a receiver drops what does not fit (rule W0).
 */

import type { LogEntry, TermRun } from '../log/log.ts';

export interface MemberId {
  readonly pod: string;
  readonly incarnation: string;
}

/** One run of one replica: the session is random per start of its process. */
export interface Address extends MemberId {
  readonly session: string;
}

export interface Message {
  readonly collectionUID: string;
  readonly shardUID: string;
  /** That of the sender; of a message from a primary, the one it leads in. */
  readonly term: number;
  readonly from: Address;
  /** Incarnation and session are empty where the sender cannot know them yet: in `fence` and `hello`. */
  readonly to: Address;
  readonly body: MessageBody;
}

export type MessageBody =
  /**
   * P2: the primary of `term` asks a member to make the term durable and to report. Also the first thing it says to a
   * joiner, and to a member that has not answered for a while. `configVersion` is that of the authority it leads by.
   */
  | { readonly kind: 'fence'; readonly number: number; readonly configVersion: number }
  /** Answer to `fence` (its number) or to an `append` that does not fit (number 0). What the sender has durably. */
  | {
      readonly kind: 'report';
      readonly number: number;
      /** Entries up to `lastSeq` are durable; the runs say their terms as far back as the sender's log knows them. */
      readonly runs: readonly TermRun[];
      readonly lastSeq: number;
      readonly commitSeq: number;
      readonly appliedSeq: number;
    }
  /** A member that has started says so, so that the primary need not wait to notice. */
  | { readonly kind: 'hello' }
  /** W2: entries prevSeq + 1, prevSeq + 2, …; none: only the commit seq. */
  | {
      readonly kind: 'append';
      readonly prevSeq: number;
      readonly prevTerm: number;
      readonly entries: readonly LogEntry[];
      readonly commitSeq: number;
    }
  /** Durable and contiguous through `throughSeq`, of what this (term, session) sent. */
  | { readonly kind: 'stored'; readonly throughSeq: number; readonly appliedSeq: number }
  /** R1: is `term` still the newest you know? */
  | { readonly kind: 'check'; readonly round: number }
  | { readonly kind: 'checked'; readonly round: number }
  /** A backup's process ends in order: it is taken out of inSync before its silence is noticed (rule W4). */
  | { readonly kind: 'goodbye' }
  /** A1: the log does not reach back to what the receiver lacks; it takes a snapshot from the sender. */
  | { readonly kind: 'take-snapshot' }
  /** The sender knows a newer term, that of the message: the receiver leads no more. */
  | { readonly kind: 'outdated' };

/** Messages to other pods: delivered in order as long as the connection holds, or not at all. */
export interface MessageTransport {
  /** Never waits, never throws: what cannot be sent now (no connection, window full) is dropped and asked for again later. */
  send(message: Message): void;
  /** Bytes queued towards the pod: the sender of bulk waits while this is above its window. */
  queuedBytes(pod: string): number;
}
