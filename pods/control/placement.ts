/**
 * Which pods shall hold a shard's replicas: spread over zones, then nodes, then even load; what is placed stays unless its
 * pod drains or there are too many.
 */

export interface PlaceablePod {
  readonly name: string;
  /**
   * Where it runs: values of the labels that replicas are spread over (its zone, its node, …), the most important first; ''
   * where its node lacks the label. Pods that are compared have values of the same labels.
   */
  readonly domains?: readonly string[];
  /** Of its disk, for new data; at 0 it takes no new replica. */
  readonly freeBytes?: number;
  /** Takes no new replica; those it has shall go. */
  readonly isDraining: boolean;
  /** Takes no new replica; those it has stay. */
  readonly isClosed?: boolean;
  /** It will be away for a moment: it takes no new replica, leads nothing, and what cannot spare a member leaves it. */
  readonly isBeingReplaced?: boolean;
  /** One that does not answer takes no new replica; those it has stay. */
  readonly isSilent: boolean;
}

export interface PlacementFacts {
  readonly pods: readonly PlaceablePod[];
  /** Replicas that each pod holds, of all shards. */
  readonly load: ReadonlyMap<string, number>;
}

/** Replicas by which the loads of two pods may differ without one being better to keep than the other. */
const loadDifferenceMax = 1;

export type Placement =
  | { readonly action: 'place'; readonly replicas: readonly string[]; readonly because: string }
  | { readonly action: 'refuse'; readonly because: string };

/**
 * `present` are the pods that hold the shard's replicas now; one that is not among `facts.pods` may come back, and stays.
 * `leaving` are those of them that go first, so that a choice that was made stands. `keeps`, the
 * primary's pod for example, stays where another is hardly better to keep: whoever takes its place costs a pause.
 */
export function placeReplicas(count: number, present: readonly string[], leaving: readonly string[], facts: PlacementFacts, keeps?: string): Placement {
  const byName = new Map(facts.pods.map((pod) => [pod.name, pod]));
  const kept = present.filter((name) => byName.get(name)?.isDraining !== true);
  const dropped: string[] = [];
  while (kept.length > count) {
    const chosen = kept.filter((name) => leaving.includes(name));
    const ranks = (chosen.length > 0 ? chosen : kept).map((name) => ranked(name, others(kept, name), byName, facts));
    const worst = chosen.length > 0 ? pick(ranks, 'last') : worstBut(keeps, ranks);
    kept.splice(kept.indexOf(worst), 1);
    dropped.push(worst);
  }
  const replicas = [...kept];
  while (replicas.length < count) {
    const open = facts.pods.filter((pod) => isOpen(pod) && !replicas.includes(pod.name));
    if (open.length === 0) return { action: 'refuse', because: `${count} replicas need ${count} pods, and there is room on ${replicas.length}${fullPods(facts.pods, replicas)}` };
    replicas.push(pick(open.map(({ name }) => ranked(name, replicas, byName, facts)), 'first'));
  }
  return { action: 'place', replicas, because: reason(present, replicas, dropped, byName) };
}

function fullPods(pods: readonly PlaceablePod[], replicas: readonly string[]): string {
  const full = pods.filter(({ name, freeBytes }) => freeBytes === 0 && !replicas.includes(name)).map(({ name }) => name);
  return full.length === 0 ? '' : `; the disk of ${full.join(', ')} is full`;
}

/** Whether it takes new replicas. */
export function isOpen(pod: PlaceablePod): boolean {
  return !pod.isDraining && pod.isClosed !== true && pod.isBeingReplaced !== true && !pod.isSilent && pod.freeBytes !== 0;
}

/** What is compared, the most important first; less is better. */
interface Rank {
  /** Of the shard's other replicas, those in the same domain, for each kind of domain. */
  readonly mates: readonly number[];
  readonly load: number;
  readonly freeBytes: number;
  readonly name: string;
}

function ranked(name: string, mates: readonly string[], byName: ReadonlyMap<string, PlaceablePod>, facts: PlacementFacts): Rank {
  const pod = byName.get(name);
  return { mates: matesByDomain(pod, mates.map((mate) => byName.get(mate))), load: facts.load.get(name) ?? 0, freeBytes: pod?.freeBytes ?? 0, name };
}

/** How many of the others share each of the pod's domains. */
export function matesByDomain(pod: PlaceablePod | undefined, others: readonly (PlaceablePod | undefined)[]): number[] {
  return (pod?.domains ?? []).map((domain, level) => (domain === '' ? 0 : others.filter((other) => other?.domains?.[level] === domain).length));
}

function pick(ranks: readonly Rank[], which: 'first' | 'last'): string {
  return [...ranks].sort(compare).at(which === 'first' ? 0 : -1)!.name;
}

/** The last of all, or one that is as badly placed as `keeps` is and whose pod holds hardly less. */
function worstBut(keeps: string | undefined, ranks: readonly Rank[]): string {
  const worst = pick(ranks, 'last');
  const kept = ranks.find(({ name }) => name === keeps);
  if (kept === undefined || worst !== keeps) return worst;
  const alike = ranks.filter((rank) => rank !== kept && compareLevels(rank.mates, kept.mates) === 0 && rank.load >= kept.load - loadDifferenceMax);
  return alike.length === 0 ? worst : pick(alike, 'last');
}

function compare(a: Rank, b: Rank): number {
  return compareLevels(a.mates, b.mates) || a.load - b.load || b.freeBytes - a.freeBytes || (a.name < b.name ? -1 : 1);
}

/** By the first difference; a level that one of them does not have counts as 0. */
export function compareLevels(a: readonly number[], b: readonly number[]): number {
  for (let level = 0; level < Math.max(a.length, b.length); level++) {
    const difference = (a[level] ?? 0) - (b[level] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
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
