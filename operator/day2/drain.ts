/**
 * Emptying pods: which pods shall be left by their replicas, whether the others have room for them, and how far it is. What
 * is decided here is recorded in the pool's status (`drains`); from there the placement of shards takes it, moves replicas
 * one by one (rule A2), and puts nothing new on the pods. Nothing moves from a pod unless everything on it has somewhere to
 * go: half a drain would cost copies and empty nothing.
 *
 *     wanted ─▶ room for all? ──▶ Draining ─▶ no shard names the pod, and it holds no data ─▶ Drained
 *                    └─ no ─▶ Refused, with the reason; looked at again whenever something changes
 */

import type { ObservedPod } from '../../pods/control/observation.ts';
import { placeReplicas, type PlaceablePod } from '../../pods/control/placement.ts';
import { limits } from '../../pods/kernel/limits.ts';
import { ordinalOf } from '../desired/names.ts';
import { podsNamedBy, type Drain, type PodFacts, type PoolFacts, type ShardUse } from './pool-facts.ts';

/** A reason to empty a pod. */
export interface DrainWish {
  readonly pod: string;
  readonly because: string;
  /** It is out of reach: what it holds cannot be copied from it, and may not be there any more. */
  readonly isLost: boolean;
}

/** Nodes with this taint are shut down for good, says a human: Kubernetes then takes their pods away. */
const outOfServiceTaint = 'node.kubernetes.io/out-of-service=nodeshutdown:NoExecute';

/** By pod; a pod may have several reasons. Those that do not wait for anything first. */
export function drainWishes(facts: PoolFacts): Map<string, DrainWish> {
  const wishes = new Map<string, DrainWish>();
  const add = (pod: string, because: string, isLost = false): void => {
    const present = wishes.get(pod);
    wishes.set(pod, present === undefined ? { pod, because, isLost } : { pod, because: `${present.because}; ${because}`, isLost: present.isLost || isLost });
  };
  for (const pod of facts.pods) {
    const { away } = pod;
    if (away !== undefined && facts.nowMs - away.sinceMs >= limits.podLossMs) add(pod.name, lossText(pod, away), true);
  }
  for (const { pod, request } of facts.drains) if (request !== undefined) add(pod, `asked for by ${request}`);
  for (const { name, isAskedToDrain } of facts.pods) if (isAskedToDrain === true) add(name, 'asked for by an annotation of the pod');
  for (const name of namedPods(facts)) {
    if (ordinalOf(facts.pool, name)! >= facts.replicas) add(name, `the pool shall have ${facts.replicas} pods`);
  }
  for (const { name, node } of facts.pods) if (node?.isCordoned === true) add(name, `node ${node.name} is cordoned`);
  return wishes;
}

/** When the next pod that is away will have been so for too long; undefined when none will. */
export function nextLossMs({ pods, nowMs }: PoolFacts): number | undefined {
  const due = pods.flatMap(({ away }) => (away === undefined ? [] : [away.sinceMs + limits.podLossMs])).filter((dueMs) => dueMs > nowMs);
  return due.length === 0 ? undefined : Math.min(...due);
}

function lossText({ name, node }: PodFacts, { sinceMs, because }: NonNullable<PodFacts['away']>): string {
  const taint = node === undefined ? '' : `; if node ${node.name} is shut down for good, say so: kubectl taint nodes ${node.name} ${outOfServiceTaint}`;
  return `${name} has been away since ${new Date(sinceMs).toISOString().slice(0, 19)}Z (${because})${taint}`;
}

/** Pods that are there, and those that shards or records still name. */
function namedPods({ pool, pods, shards, statefulSet }: PoolFacts): string[] {
  const names = new Set(pods.map(({ name }) => name));
  for (const { shard } of shards) for (const name of podsNamedBy(shard)) if (ordinalOf(pool, name) !== undefined) names.add(name);
  for (let ordinal = 0; ordinal < (statefulSet?.replicas ?? 0); ordinal++) names.add(`${pool}-${ordinal}`);
  // The highest ordinals leave first.
  return [...names].sort((a, b) => ordinalOf(pool, b)! - ordinalOf(pool, a)!);
}

/** What shall stand in the pool's status. `heard`: what pods report, by name. */
export function decideDrains(facts: PoolFacts, heard: ReadonlyMap<string, ObservedPod>): Drain[] {
  const wishes = drainWishes(facts);
  const before = new Map(facts.drains.map((drain) => [drain.pod, drain]));
  const accepted = new Set<string>();
  const refused = new Map<string, string>();
  const isUnderWay = (pod: string): boolean => ['Draining', 'Drained'].includes(before.get(pod)?.phase ?? '');
  // What is under way goes on before anything else begins.
  const ordered = [...wishes.values()].sort((a, b) => Number(isUnderWay(b.pod)) - Number(isUnderWay(a.pod)));
  for (const { pod } of ordered) {
    const refusal = refusalOf(pod, facts, wishes, accepted);
    if (refusal === undefined) accepted.add(pod);
    else refused.set(pod, refusal);
  }
  return [...wishes.values()].map((wish) => stated(wish, before.get(wish.pod), facts, heard.get(wish.pod), refused.get(wish.pod))).sort((a, b) => (a.pod < b.pod ? -1 : 1));
}

function stated(wish: DrainWish, before: Drain | undefined, facts: PoolFacts, heard: ObservedPod | undefined, refusal: string | undefined): Drain {
  const { pod, because } = wish;
  const left = facts.shards.filter(({ shard }) => podsNamedBy(shard).has(pod)).length;
  const total = Math.max(before?.total ?? 0, left);
  const record = { pod, left, total, ...(before?.request === undefined ? {} : { request: before.request }) };
  if (refusal !== undefined) return { ...record, phase: 'Refused', message: bounded(`${because}; but ${refusal}`) };
  if (left > 0) return { ...record, phase: 'Draining', message: bounded(`${because}; ${left} of ${total} replicas are still on it`) };
  const held = heldData(facts, heard);
  if (held > 0) return { ...record, phase: 'Draining', message: bounded(`${because}; it removes the data of ${held} replicas`) };
  return { ...record, phase: 'Drained', message: bounded(`${because}; no replica is on it`) };
}

/** Replicas that it still has of shards that have left it. A pod that does not answer is not waited for. */
function heldData({ shards }: PoolFacts, heard: ObservedPod | undefined): number {
  if (heard?.report === undefined || heard.isSilent) return 0;
  return shards.filter(({ shard }) => heard.report!.replicas.has(shard.metadata.uid)).length;
}

/** Why the replicas on the pod cannot all go elsewhere, given what was accepted already; undefined when they can. */
function refusalOf(pod: string, facts: PoolFacts, wishes: ReadonlyMap<string, DrainWish>, accepted: ReadonlySet<string>): string | undefined {
  const load = loadOf(facts.shards);
  const pods = facts.pods.map((each): PlaceablePod => ({
    name: each.name,
    domains: each.node?.domains ?? [],
    isDraining: each.name === pod || accepted.has(each.name),
    isClosed: wishes.has(each.name),
    isSilent: !each.isServing,
    ...(each.freeBytes === undefined ? {} : { freeBytes: each.freeBytes }),
  }));
  for (const missing of [pod, ...accepted]) if (!pods.some(({ name }) => name === missing)) pods.push({ name: missing, isDraining: true, isSilent: true });
  for (const { shard, replicas } of facts.shards) {
    if (!shard.spec.replicas.includes(pod)) continue;
    const placement = placeReplicas(replicas, shard.spec.replicas, shard.spec.leaving ?? [], { pods, load });
    if (placement.action === 'refuse') return `there is no room: ${shard.metadata.name}: ${placement.because}`;
    for (const name of placement.replicas) if (!shard.spec.replicas.includes(name)) load.set(name, (load.get(name) ?? 0) + 1);
  }
  return undefined;
}

function loadOf(shards: readonly ShardUse[]): Map<string, number> {
  const load = new Map<string, number>();
  for (const { shard } of shards) for (const name of shard.spec.replicas) load.set(name, (load.get(name) ?? 0) + 1);
  return load;
}

/** As the CRD bounds it. */
const messageLengthMax = 4_096;

function bounded(text: string): string {
  return text.length > messageLengthMax ? `${text.slice(0, messageLengthMax - 1)}…` : text;
}
