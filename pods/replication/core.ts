/**
 * The protocol of one shard's primary as a pure step function: same state and input, same output. The driver gives it a
 * log, and later a network and a clock. Rules by their names are those of docs/replication.md.
 *
 * Here it has the part that a shard with one member needs, written over a set of members, so that replication adds
 * members and messages, not a second path:
 *   W0  it leads only in a term granted to this session
 *   W1  the primary assigns (term, seq); entries keep their term
 *   W3  commit what every member of maximalInSync has durably; nothing when fewer than minInSync are in sync
 *   P2  it begins a term with a no-op, and serves only when that is committed and applied
 */

export interface MemberId {
  readonly pod: string;
  readonly incarnation: string;
}

/** What the driver must find durable in the log before it starts the core. */
export interface CoreStart {
  readonly self: MemberId;
  /** Random per process start (rule W0). */
  readonly session: string;
  readonly lastSeq: number;
  readonly lastTerm: number;
  readonly commitSeq: number;
}

export interface Authority {
  readonly term: number;
  readonly session: string;
  readonly inSync: readonly MemberId[];
  readonly minInSync: number;
}

export interface CoreState {
  readonly self: MemberId;
  readonly session: string;
  readonly role: 'waiting' | 'primary';
  readonly term: number;
  /** Newest seq assigned or stored. */
  readonly lastSeq: number;
  readonly commitSeq: number;
  /** Seq of the no-op that began the term this replica leads in. */
  readonly noOpSeq: number;
  /** maximalInSync with each member's durable prefix in this term and session. */
  readonly members: readonly { readonly id: MemberId; readonly durableSeq: number }[];
  readonly inSyncCount: number;
  readonly minInSync: number;
}

export type CoreInput =
  /** The store granted a term. */
  | { readonly kind: 'authority'; readonly authority: Authority }
  | { readonly kind: 'propose'; readonly entryCount: number }
  /** A member has everything through `throughSeq` on its disk. */
  | { readonly kind: 'durable'; readonly member: MemberId; readonly term: number; readonly throughSeq: number }
  /** The log refused entries above `lastSeq`: the term cannot go on without giving one of its seqs twice. */
  | { readonly kind: 'step-down'; readonly lastSeq: number };

export interface CoreOutput {
  readonly state: CoreState;
  /** Entries to append, all of the state's term, from `firstSeq`; the first of a new term is its no-op. */
  readonly append?: { readonly term: number; readonly firstSeq: number; readonly entryCount: number };
  /** Everything through this seq is committed, when that moved. */
  readonly commitThroughSeq?: number;
  readonly because: string;
}

export function startCore(start: CoreStart): CoreState {
  return {
    self: start.self,
    session: start.session,
    role: 'waiting',
    term: start.lastTerm,
    lastSeq: start.lastSeq,
    commitSeq: start.commitSeq,
    noOpSeq: 0,
    members: [],
    inSyncCount: 0,
    minInSync: 1,
  };
}

export function step(state: CoreState, input: CoreInput): CoreOutput {
  switch (input.kind) {
    case 'authority':
      return onAuthority(state, input.authority);
    case 'propose':
      return onPropose(state, input.entryCount);
    case 'durable':
      return onDurable(state, input);
    case 'step-down':
      return { state: { ...state, role: 'waiting', lastSeq: input.lastSeq }, because: 'W0: gives up its term and waits for the next' };
  }
}

function onAuthority(state: CoreState, authority: Authority): CoreOutput {
  if (authority.session !== state.session) return { state, because: 'W0: the term was granted to another session' };
  if (authority.term <= state.term) return { state, because: `W0: term ${authority.term} is not newer than ${state.term}` };
  const noOpSeq = state.lastSeq + 1;
  return {
    state: {
      ...state,
      role: 'primary',
      term: authority.term,
      lastSeq: noOpSeq,
      noOpSeq,
      members: authority.inSync.map((id) => ({ id, durableSeq: 0 })),
      inSyncCount: authority.inSync.length,
      minInSync: authority.minInSync,
    },
    append: { term: authority.term, firstSeq: noOpSeq, entryCount: 1 },
    because: `P2: term ${authority.term} begins with a no-op at ${noOpSeq}`,
  };
}

function onPropose(state: CoreState, entryCount: number): CoreOutput {
  if (state.role !== 'primary') return { state, because: 'W0: not the primary' };
  if (state.inSyncCount < state.minInSync) return { state, because: `W5: ${state.inSyncCount} in sync, ${state.minInSync} needed` };
  const firstSeq = state.lastSeq + 1;
  return {
    state: { ...state, lastSeq: state.lastSeq + entryCount },
    append: { term: state.term, firstSeq, entryCount },
    because: 'W1: assigned',
  };
}

function onDurable(state: CoreState, input: { member: MemberId; term: number; throughSeq: number }): CoreOutput {
  if (state.role !== 'primary' || input.term !== state.term) return { state, because: 'W2: an answer of another term counts for nothing' };
  const members = state.members.map((member) =>
    sameMember(member.id, input.member) ? { ...member, durableSeq: Math.max(member.durableSeq, input.throughSeq) } : member,
  );
  const next = { ...state, members };
  const covered = Math.min(...members.map((member) => member.durableSeq));
  // P2: entries of earlier terms commit through the no-op of this one, never by being counted on their own.
  if (state.inSyncCount < state.minInSync || covered < state.noOpSeq || covered <= state.commitSeq) {
    return { state: next, because: 'W3: not yet durable on every member' };
  }
  return { state: { ...next, commitSeq: covered }, commitThroughSeq: covered, because: 'W3: durable on every member' };
}

function sameMember(a: MemberId, b: MemberId): boolean {
  return a.pod === b.pod && a.incarnation === b.incarnation;
}
