/**
 * What clients did and were told, as the judge of a run needs it: one `Operation` for each id that a request names, from
 * its first invocation to the answer that settled it.
 *
 *   invoke ──► answered            ok: it happened between the two
 *          ──► failed              it certainly did not happen
 *          ──► lost, or nothing    unknown: it may happen at any later time, or never
 *
 * A request that is sent again under the same client and request number is the same operation (rule D1): it is ok as soon
 * as one attempt was answered, and has failed only if every attempt certainly failed; an attempt that is refused says
 * nothing about an earlier one that was lost.
 *
 * Contents are numbers that the workload writes once each and recognises when it reads them (a counter, a hash), one for
 * the vector and one for the payload, because a payload change leaves the vector alone. What cannot be recognised is
 * recorded as a number that nobody wrote.
 *
 * Ids of different lives of a collection are different ids: a workload that deletes and creates collections puts the
 * collection's UID in front.
 */

import assert from 'node:assert/strict';
import type { Consistency, ConsistencyToken } from '../../pods/domain/consistency.ts';
import type { ItemOutcome } from '../../pods/domain/write.ts';

export interface Content {
  readonly vector: number;
  readonly payload: number;
}

/** A point as a read saw it. */
export interface Seen extends Content {
  readonly version: number;
}

export type Condition = { readonly kind: 'absent' } | { readonly kind: 'present' } | { readonly kind: 'version'; readonly version: number };

export type WriteCall =
  | { readonly kind: 'upsert'; readonly content: Content; readonly condition?: Condition }
  | { readonly kind: 'set-payload'; readonly payload: number; readonly condition?: Condition }
  | { readonly kind: 'delete'; readonly condition?: Condition };

export interface GetCall {
  readonly kind: 'get';
  readonly consistency: Consistency;
}

export type Call = WriteCall | GetCall;

export interface WriteAnswer {
  readonly outcome: ItemOutcome;
  /** Of the point afterwards; 0 when there is none. */
  readonly version: number;
  /** Of the whole request: a read that carries them all sees this write. */
  readonly tokens: readonly ConsistencyToken[];
}

export interface GetAnswer {
  readonly seen: Seen | undefined;
}

export type Settled =
  | { readonly outcome: 'ok'; readonly call: WriteCall; readonly answer: WriteAnswer }
  | { readonly outcome: 'ok'; readonly call: GetCall; readonly answer: GetAnswer }
  | { readonly outcome: 'failed' | 'unknown'; readonly call: Call };

/**
 * Instants are numbers of one clock. One operation precedes another when its response is less than the other's
 * invocation; equal instants are concurrent. `History` counts its events, so that no two of its instants are equal.
 */
export type Operation = Settled & {
  /** How explanations call it. */
  readonly number: number;
  readonly id: string;
  readonly clientId: string;
  readonly requestNumber: number;
  readonly attemptCount: number;
  readonly invokedAt: number;
  /** Infinity unless it is ok or failed. */
  readonly respondedAt: number;
  /** By the clock of the run, for readers of an explanation. */
  readonly invokedMs: number;
  readonly respondedMs: number | undefined;
};

export type OperationsById = ReadonlyMap<string, readonly Operation[]>;

export interface Hit extends Partial<Seen> {
  readonly id: string;
}

export interface Search {
  readonly number: number;
  readonly clientId: string;
  readonly consistency: Consistency;
  readonly invokedAt: number;
  readonly respondedAt: number;
  readonly invokedMs: number;
  readonly respondedMs: number;
  readonly hits: readonly Hit[];
  /** Whether every point must have been among the hits: exact, no filter, no shard left out, and room for all of them. */
  readonly complete: boolean;
}

export interface Request {
  readonly id: string;
  readonly clientId: string;
  /** With the client and the id it names the operation: reads and writes of a client must not share numbers. */
  readonly requestNumber: number;
  readonly call: Call;
}

/** A point is left alone after this many writes to it whose outcome nobody knows: each doubles what has to be considered. */
export const unknownOutcomeCountMax = 4;

/** One attempt of a request, to be settled by one of its methods, or by none if nothing was ever heard of it. */
export interface Attempt<Answer> {
  answered(answer: Answer): void;
  /** It certainly did not happen, and will not. */
  failed(): void;
  /** Time-out, broken connection, OUTCOME_UNKNOWN. */
  lost(): void;
}

export interface SearchAttempt {
  answered(hits: readonly Hit[], options?: { readonly complete?: boolean }): void;
}

/** What a judge reads of a history. */
export type Recorded = Pick<History, 'ids' | 'operationsOf' | 'isRetired' | 'searches' | 'contradictions'>;

export class History {
  readonly #nowMs: () => number;
  readonly #entries = new Map<string, Entry>();
  readonly #entriesById = new Map<string, Entry[]>();
  readonly #searches: Search[] = [];
  readonly #contradictions: string[] = [];
  #eventCount = 0;
  #searchCount = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** A point that was there before the run. To be said before anything else of that id. */
  given(id: string, seen: Seen): void {
    const call: WriteCall = { kind: 'upsert', content: { vector: seen.vector, payload: seen.payload } };
    this.invoke({ id, clientId: 'given', requestNumber: 1, call }).answered({ outcome: 'created', version: seen.version, tokens: [] });
  }

  /** To be called before the request is sent, and again, with the same request, before it is sent again. */
  invoke(request: Request & { readonly call: WriteCall }): Attempt<WriteAnswer>;
  invoke(request: Request & { readonly call: GetCall }): Attempt<GetAnswer>;
  invoke(request: Request): Attempt<WriteAnswer> | Attempt<GetAnswer> {
    const entry = this.#entryOf(request);
    let open = true;
    entry.attemptCount++;
    entry.openCount++;
    const close = (): void => {
      assert(open, 'an attempt is settled once');
      open = false;
      entry.openCount--;
    };
    return {
      answered: (answer: WriteAnswer | GetAnswer) => {
        close();
        this.#answered(entry, answer);
      },
      failed: () => {
        close();
        entry.failedCount++;
        if (entry.answer === undefined) entry.settled = this.#event();
      },
      lost: close,
    };
  }

  /** To be called before the search is sent; a search that fails is no part of the history. */
  search(clientId: string, consistency: Consistency): SearchAttempt {
    const invoked = this.#event();
    return {
      answered: (hits, { complete = false } = {}) => {
        const responded = this.#event();
        const number = ++this.#searchCount;
        this.#searches.push({ number, clientId, consistency, invokedAt: invoked.at, respondedAt: responded.at, invokedMs: invoked.ms, respondedMs: responded.ms, hits, complete });
      },
    };
  }

  /** Whether the workload should leave the id alone: too many outcomes of writes to it are unknown. */
  isRetired(id: string): boolean {
    const unknown = (this.#entriesById.get(id) ?? []).filter((entry) => entry.request.call.kind !== 'get' && entry.openCount === 0 && outcomeOf(entry) === 'unknown');
    return unknown.length >= unknownOutcomeCountMax;
  }

  get ids(): string[] {
    return [...this.#entriesById.keys()];
  }

  /** As far as it is known now, in the order of their first invocation. */
  operationsOf(id: string): Operation[] {
    return (this.#entriesById.get(id) ?? []).map(operationOf);
  }

  get operations(): Operation[] {
    return [...this.#entries.values()].map(operationOf);
  }

  get searches(): readonly Search[] {
    return this.#searches;
  }

  /** Requests that were answered twice, differently (rule D1). */
  get contradictions(): readonly string[] {
    return this.#contradictions;
  }

  #entryOf(request: Request): Entry {
    const key = JSON.stringify([request.clientId, request.requestNumber, request.id]);
    let entry = this.#entries.get(key);
    if (entry !== undefined) {
      assert.deepEqual(request, entry.request, 'a request number stands for one request');
      return entry;
    }
    const { condition } = request.call as { condition?: Condition };
    if (condition?.kind === 'version') assert(this.#saw(request.id, condition.version), `nothing in this history saw version ${condition.version} of ${request.id}`);
    entry = { request, number: this.#entries.size + 1, invoked: this.#event(), attemptCount: 0, openCount: 0, failedCount: 0, settled: undefined, answer: undefined };
    this.#entries.set(key, entry);
    const ofId = this.#entriesById.get(request.id);
    if (ofId === undefined) this.#entriesById.set(request.id, [entry]);
    else ofId.push(entry);
    return entry;
  }

  /** A guessed version might be one that a write of unknown outcome will get; the checkers count on its not being so. */
  #saw(id: string, version: number): boolean {
    return version === 0 || (this.#entriesById.get(id) ?? []).some(({ answer }) => answer !== undefined && ('seen' in answer ? answer.seen?.version : answer.version) === version);
  }

  /** The first answer ends the operation: from then on somebody knows that it has happened. */
  #answered(entry: Entry, answer: WriteAnswer | GetAnswer): void {
    const now = this.#event();
    if (entry.answer === undefined) {
      entry.answer = answer;
      entry.settled = now;
      return;
    }
    if ('seen' in answer || 'seen' in entry.answer) return;
    const { outcome, version } = entry.answer;
    if (outcome !== answer.outcome || version !== answer.version) {
      const { id, clientId, requestNumber } = entry.request;
      this.#contradictions.push(`${id}: request ${requestNumber} of ${clientId} was answered ${outcome} ${version}, then ${answer.outcome} ${answer.version}`);
    }
  }

  #event(): Instant {
    return { at: ++this.#eventCount, ms: this.#nowMs() };
  }
}

interface Instant {
  readonly at: number;
  readonly ms: number;
}

interface Entry {
  readonly request: Request;
  readonly number: number;
  readonly invoked: Instant;
  attemptCount: number;
  /** Attempts that nothing was heard of yet. */
  openCount: number;
  failedCount: number;
  /** When it was answered first, or when its last attempt failed. */
  settled: Instant | undefined;
  answer: WriteAnswer | GetAnswer | undefined;
}

function outcomeOf(entry: Entry): Operation['outcome'] {
  if (entry.answer !== undefined) return 'ok';
  return entry.failedCount === entry.attemptCount ? 'failed' : 'unknown';
}

function operationOf(entry: Entry): Operation {
  const { id, clientId, requestNumber, call } = entry.request;
  const outcome = outcomeOf(entry);
  const settled = (outcome === 'ok' ? { outcome, call, answer: entry.answer } : { outcome, call }) as Settled;
  return {
    ...settled,
    number: entry.number,
    id,
    clientId,
    requestNumber,
    attemptCount: entry.attemptCount,
    invokedAt: entry.invoked.at,
    respondedAt: outcome === 'unknown' ? Infinity : entry.settled!.at,
    invokedMs: entry.invoked.ms,
    respondedMs: outcome === 'unknown' ? undefined : entry.settled!.ms,
  };
}
