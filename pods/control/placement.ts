/**
 * Which pods shall hold a shard's replicas: spread over zones, then nodes, then even load; what is placed stays unless its
 * pod drains or there are too many.
 */

export interface PlaceablePod {
  readonly name: string;
  readonly zone?: string;
  readonly node?: string;
  /** Bytes of storage that are free; at 0 it takes no new replica. */
  readonly freeBytes?: number;
  /** Takes no new replica; those it has shall go. */
  readonly isDraining: boolean;
  /** One that does not answer takes no new replica; those it has stay. */
  readonly isSilent: boolean;
}

export interface PlacementFacts {
  readonly pods: readonly PlaceablePod[];
  /** Replicas that each pod holds, of all shards. */
  readonly load: ReadonlyMap<string, number>;
}

export type Placement =
  | { readonly action: 'place'; readonly replicas: readonly string[]; readonly because: string }
  | { readonly action: 'refuse'; readonly because: string };

/**
 * `present` are the pods that hold the shard's replicas now; one that is not among `facts.pods` may come back, and stays.
 * `leaving` are those of them that go first, so that a choice that was made stands.
 */
export function placeReplicas(count: number, present: readonly string[], leaving: readonly string[], facts: PlacementFacts): Placement {
  const byName = new Map(facts.pods.map((pod) => [pod.name, pod]));
  const kept = present.filter((name) => byName.get(name)?.isDraining !== true);
  const dropped: string[] = [];
  while (kept.length > count) {
    const chosen = kept.filter((name) => leaving.includes(name));
    const worst = pick((chosen.length > 0 ? chosen : kept).map((name) => ranked(name, others(kept, name), byName, facts)), 'last');
    kept.splice(kept.indexOf(worst), 1);
    dropped.push(worst);
  }
  const replicas = [...kept];
  while (replicas.length < count) {
    const open = facts.pods.filter((pod) => !pod.isDraining && !pod.isSilent && pod.freeBytes !== 0 && !replicas.includes(pod.name));
    if (open.length === 0) return { action: 'refuse', because: `${count} replicas need ${count} pods, and there is room on ${replicas.length}` };
    replicas.push(pick(open.map(({ name }) => ranked(name, replicas, byName, facts)), 'first'));
  }
  return { action: 'place', replicas, because: reason(present, replicas, dropped, byName) };
}

/** What is compared, the most important first; less is better. */
type Rank = readonly [zoneMates: number, nodeMates: number, load: number, takenBytes: number, name: string];

function ranked(name: string, mates: readonly string[], byName: ReadonlyMap<string, PlaceablePod>, facts: PlacementFacts): Rank {
  const pod = byName.get(name);
  const zoneMates = mates.filter((mate) => pod?.zone !== undefined && byName.get(mate)?.zone === pod.zone).length;
  const nodeMates = mates.filter((mate) => pod?.node !== undefined && byName.get(mate)?.node === pod.node).length;
  return [zoneMates, nodeMates, facts.load.get(name) ?? 0, -(pod?.freeBytes ?? 0), name];
}

function pick(ranks: readonly Rank[], which: 'first' | 'last'): string {
  const ordered = [...ranks].sort(compare);
  return ordered.at(which === 'first' ? 0 : -1)![4];
}

function compare(a: Rank, b: Rank): number {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at < 0 ? 0 : a[at]! < b[at]! ? -1 : 1;
}

function others(names: readonly string[], name: string): string[] {
  return names.filter((other) => other !== name);
}

function reason(present: readonly string[], replicas: readonly string[], dropped: readonly string[], byName: ReadonlyMap<string, PlaceablePod>): string {
  const added = replicas.filter((name) => !present.includes(name));
  const draining = present.filter((name) => byName.get(name)?.isDraining === true);
  if (added.length === 0 && dropped.length === 0 && draining.length === 0) return 'placed as wanted';
  const parts = [
    ...(draining.length === 0 ? [] : [`${draining.join(', ')} is asked to drain`]),
    ...(dropped.length === 0 ? [] : [`fewer replicas are wanted: ${dropped.join(', ')} goes`]),
    ...(added.length === 0 ? [] : [`${added.join(', ')} takes a replica`]),
  ];
  return parts.join('; ');
}
