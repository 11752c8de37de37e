/**
 * Rule G1, and W5 where it guards the store: which changes of a `VectorShard` the consensus store takes. (It is made
 * without authority, because no store takes a status from whoever creates an object.) On Kubernetes the CRD says the same
 * in CEL; local and simulated stores ask here. `authority-rules.cases.ts` holds both to one table.
 */

import type { ShardAuthority, VectorShard } from './objects.ts';

interface Change {
  readonly old: VectorShard;
  readonly next: VectorShard;
  readonly before: ShardAuthority | undefined;
  readonly after: ShardAuthority | undefined;
}

interface Rule {
  readonly message: string;
  readonly holds: (change: Change) => boolean;
}

type Member = ShardAuthority['inSync'][number];

/** What stands against the change, beginning with the rule's name; undefined when nothing does. */
export function checkAuthorityChange(old: VectorShard, next: VectorShard): string | undefined {
  const change: Change = { old, next, before: old.status.authority, after: next.status.authority };
  return rules.find((rule) => !rule.holds(change))?.message;
}

/** A rule about two authorities holds where there are not two. */
function between(holds: (before: ShardAuthority, after: ShardAuthority, next: VectorShard) => boolean): Rule['holds'] {
  return ({ before, after, next }) => before === undefined || after === undefined || holds(before, after, next);
}

const rules: readonly Rule[] = [
  {
    message: 'G1: identity is immutable',
    holds: ({ old, next }) => sameIdentity(old.spec, next.spec),
  },
  {
    message: 'G1: authority, once written, is never removed',
    holds: ({ before, after }) => before === undefined || after !== undefined,
  },
  {
    message: 'G1: the first authority has term 1 and configVersion 1',
    holds: ({ before, after }) => before !== undefined || after === undefined || (after.term === 1 && after.configVersion === 1),
  },
  {
    message: 'G1: inSync names each pod once, and at least one',
    holds: ({ after }) => after === undefined || (after.inSync.length > 0 && new Set(after.inSync.map(({ pod }) => pod)).size === after.inSync.length),
  },
  {
    message: 'G1: the primary is a member of inSync',
    holds: ({ after }) => after === undefined || includes(after.inSync, after.primary),
  },
  {
    message: 'G1: every inSync member is in spec.replicas (remove from inSync first)',
    holds: ({ next, after }) => after === undefined || after.inSync.every(({ pod }) => next.spec.replicas.includes(pod)),
  },
  {
    message: 'G1: term stays or grows by one',
    holds: between((before, after) => after.term === before.term || after.term === before.term + 1),
  },
  {
    message: 'G1: a new primary or session needs term + 1',
    holds: between((before, after) => samePrimary(before, after) || after.term === before.term + 1),
  },
  {
    message: 'G1: a new term keeps inSync, and its primary was in the old inSync (or spec.acceptDataLoss names exactly this term and incarnation)',
    holds: between(
      (before, after, next) =>
        after.term === before.term ||
        (sameMembers(before.inSync, after.inSync) && includes(before.inSync, after.primary)) ||
        (next.spec.acceptDataLoss?.incarnation === after.primary.incarnation && next.spec.acceptDataLoss.term === after.term && after.inSync.length === 1),
    ),
  },
  {
    message: 'G1: configVersion grows by one exactly when inSync changes',
    holds: between((before, after) => after.configVersion === before.configVersion + (sameMembers(before.inSync, after.inSync) ? 0 : 1)),
  },
  {
    message: 'G1: one member at a time is added, removed, or replaced by a new incarnation',
    holds: between((before, after) => after.term !== before.term || (added(before, after).length <= 1 && added(after, before).length <= 1)),
  },
  {
    message: 'W5: inSync never shrinks below minInSync',
    holds: between(
      (before, after, next) => after.term !== before.term || after.inSync.length >= before.inSync.length || after.inSync.length >= next.spec.minInSync,
    ),
  },
];

function sameIdentity(a: VectorShard['spec'], b: VectorShard['spec']): boolean {
  return (
    a.collection.uid === b.collection.uid &&
    a.collection.name === b.collection.name &&
    a.generation === b.generation &&
    a.index === b.index &&
    a.hashRange.start === b.hashRange.start &&
    a.hashRange.end === b.hashRange.end
  );
}

function samePrimary({ primary: a }: ShardAuthority, { primary: b }: ShardAuthority): boolean {
  return a.pod === b.pod && a.podUID === b.podUID && a.incarnation === b.incarnation && a.session === b.session;
}

function includes(members: readonly Member[], { pod, incarnation }: Member): boolean {
  return members.some((member) => member.pod === pod && member.incarnation === incarnation);
}

function added(before: ShardAuthority, after: ShardAuthority): Member[] {
  return after.inSync.filter((member) => !includes(before.inSync, member));
}

/** Their order means nothing. */
function sameMembers(a: readonly Member[], b: readonly Member[]): boolean {
  return a.length === b.length && a.every((member) => includes(b, member));
}
