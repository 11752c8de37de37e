/** For tests of the core: a few replicas of one shard whose messages and disks move only when the test says so. */

import type { LogEntry } from '../log/log.ts';
import type { MutationName } from '../kernel/mutations.ts';
import type { Authority } from './authority.ts';
import { step } from './core.ts';
import type { MemberId, Message } from './messages.ts';
import { isLeading } from './primary-role.ts';
import { message, startCore, type CoreInput, type CoreOutput, type CoreState, type MetadataRequest } from './state.ts';
import { termAt } from './term-runs.ts';

export const memberOf = (pod: string): MemberId => ({ pod, incarnation: `${pod}1` });

export function authorityOf(primary: string, overrides: Partial<Authority> = {}): Authority {
  const inSync = [memberOf('a'), memberOf('b'), memberOf('c')];
  return {
    term: 3,
    primary: { ...memberOf(primary), session: `s-${primary}` },
    inSync,
    configVersion: 1,
    minInSync: 2,
    replicas: inSync.map((member) => member.pod),
    leaving: [],
    resourceVersion: '10',
    ...overrides,
  };
}

export class Replica {
  readonly pod: string;
  state: CoreState;
  /** What was sent and not delivered yet. */
  readonly outbox: Message[] = [];
  readonly metadata: MetadataRequest[] = [];
  /** Log writes on their way to the disk. */
  readonly #writes: CoreInput[] = [];
  readonly lines: string[] = [];

  /** Its log: `terms[i]` is the term of the entry i + 1. */
  constructor(pod: string, terms: readonly number[], options: { commitSeq?: number; session?: string; mutations?: readonly MutationName[] } = {}) {
    this.pod = pod;
    const commitSeq = options.commitSeq ?? 0;
    this.state = startCore({
      collectionUID: 'collection',
      shardUID: 'shard',
      self: { ...memberOf(pod), session: options.session ?? `s-${pod}` },
      term: terms.at(-1) ?? 0,
      runs: runsOf(terms),
      firstSeq: 1,
      lastSeq: terms.length,
      commitSeq,
      appliedSeq: commitSeq,
      mutations: new Set(options.mutations ?? []),
    });
  }

  do(input: CoreInput): CoreOutput {
    const output = step(this.state, input);
    this.state = output.state;
    this.outbox.push(...(output.send ?? []));
    if (output.metadata !== undefined) this.metadata.push(output.metadata);
    if (output.adoptTerm !== undefined) this.#writes.push({ kind: 'term-durable', term: output.adoptTerm });
    if (output.append !== undefined) this.#writes.push({ kind: 'durable', throughSeq: output.append.firstSeq + output.append.entryCount - 1, term: output.append.term });
    if (output.store !== undefined) this.#writes.push({ kind: 'durable', throughSeq: output.store.entries.at(-1)!.seq, term: output.store.entries.at(-1)!.term });
    this.lines.push(`${this.pod} ${input.kind === 'message' ? input.message.body.kind : input.kind}: ${output.because}`);
    return output;
  }

  /** The disk has taken what was given to it so far. */
  sync(): void {
    for (const input of this.#writes.splice(0)) this.do(input);
  }

  /** What the driver would send: everything above what each other replica has. */
  pump(): void {
    const { state } = this;
    if (!isLeading(state)) return;
    for (const { pod, incarnation, session, phase, matchedSeq } of state.role.others) {
      if (phase !== 'matched') continue;
      const entries: LogEntry[] = [];
      for (let seq = matchedSeq + 1; seq <= state.lastSeq; seq++) entries.push({ seq, term: termAt(state.runs, seq)!, payload: new Uint8Array() });
      const body = { kind: 'append', prevSeq: matchedSeq, prevTerm: termAt(state.runs, matchedSeq) ?? 0, entries, commitSeq: state.commitSeq } as const;
      this.outbox.push(message(state, { pod, incarnation, session }, body));
    }
  }

  /** The terms of its entries, oldest first. */
  get terms(): number[] {
    return Array.from({ length: this.state.lastSeq }, (_, i) => termAt(this.state.runs, i + 1)!);
  }
}

export class Replicas {
  readonly all: readonly Replica[];
  /** Messages between these pods are lost. */
  readonly cut = new Set<string>();

  constructor(...all: Replica[]) {
    this.all = all;
  }

  /** Delivers, syncs and sends until nothing is left to do, for at most `rounds`. */
  settle(rounds = 20): void {
    for (let round = 0; round < rounds; round++) {
      for (const replica of this.all) replica.sync();
      for (const replica of this.all) replica.pump();
      for (const replica of this.all) for (const sent of replica.outbox.splice(0)) this.deliver(sent);
    }
  }

  deliver(sent: Message): void {
    if (this.cut.has(sent.from.pod) || this.cut.has(sent.to.pod)) return;
    this.all.find((replica) => replica.pod === sent.to.pod)?.do({ kind: 'message', message: sent });
  }
}

function runsOf(terms: readonly number[]): { term: number; firstSeq: number; lastSeq: number }[] {
  const runs: { term: number; firstSeq: number; lastSeq: number }[] = [];
  terms.forEach((term, i) => {
    const newest = runs.at(-1);
    if (newest?.term === term) newest.lastSeq = i + 1;
    else runs.push({ term, firstSeq: i + 1, lastSeq: i + 1 });
  });
  return runs;
}
