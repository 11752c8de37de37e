/** Tells of every change of a shard's authority, and counts which rule it was an instance of. */

import type { VectorShard } from '../../../pods/metadata/objects.ts';
import type { World } from './world.ts';

export function tellOfAuthority(world: World): Record<string, number> {
  const exercised: Record<string, number> = {};
  const known = new Map<string, VectorShard>();
  const note = (rule: string): void => void (exercised[rule] = (exercised[rule] ?? 0) + 1);
  world.store.onChange({
    reset: () => known.clear(),
    changed(kind, name, object) {
      if (kind !== 'shards') return;
      const shard = object as VectorShard | undefined;
      const before = known.get(name);
      if (shard === undefined) known.delete(name);
      else known.set(name, shard);
      const rules = shard === undefined ? [] : rulesOf(before, shard);
      for (const rule of rules) note(rule);
      if (rules.length > 0) world.tell(name, `${describe(shard!)}: ${rules.join(', ')}`);
    },
  });
  return exercised;
}

function rulesOf(before: VectorShard | undefined, after: VectorShard): string[] {
  const [old, next] = [before?.status.authority, after.status.authority];
  if (next === undefined) return [];
  if (old === undefined) return before === undefined ? [] : ['B1 first authority'];
  const rules: string[] = [];
  if (next.term > old.term) {
    if (after.spec.acceptDataLoss?.term === next.term) rules.push('P1 accepted data loss');
    else if (next.primary.pod === old.primary.pod) rules.push('W0 a new term for the same pod');
    else rules.push(before?.status.handover?.term === old.term ? 'S1 switchover' : 'P1 promotion');
  }
  const has = (members: typeof next.inSync, { pod, incarnation }: (typeof next.inSync)[number]): boolean => members.some((member) => member.pod === pod && member.incarnation === incarnation);
  const added = next.inSync.some((member) => !has(old.inSync, member));
  const removed = old.inSync.some((member) => !has(next.inSync, member));
  if (added && removed) rules.push('A1 a member replaced');
  else if (added) rules.push('A1 a member added');
  else if (removed) rules.push('W4 a member removed');
  if (before?.status.nonce !== after.status.nonce) rules.push('A1 version moved by nonce');
  return rules;
}

function describe({ status }: VectorShard): string {
  const { term, primary, inSync, configVersion } = status.authority!;
  return `term ${term}, ${primary.pod} leads, in sync ${inSync.map(({ pod, incarnation }) => `${pod}/${incarnation.slice(0, 4)}`).join(' ')} (v${configVersion})`;
}
