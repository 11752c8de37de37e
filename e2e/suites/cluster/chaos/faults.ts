/**
 * What is done to a cluster of processes. A fault names its victim by role, so that a seed that kills a primary kills one,
 * whoever leads at that moment; everything else of it is in the plan.
 */

import { bothWays, machine, type ClusterNetwork, type Way } from '../../../framework/cluster/network.ts';
import type { Cluster, PodProcess } from '../../../framework/cluster/cluster.ts';
import { pause } from '../../../framework/timeouts.ts';

export const faultKinds = [
  'kill -9',
  'stopped',
  'cut off',
  'hears nobody',
  'heard by nobody',
  'cut off from a pod',
  'one way cut to a pod',
  'cut off from the API',
  'cut off from the controller',
  'disk wiped',
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface Victim {
  readonly shard: number;
  readonly role: 'primary' | 'backup';
  /** Which of the others, where there is a choice. */
  readonly choice: number;
}

export interface Fault {
  readonly kind: FaultKind;
  readonly victim: Victim;
  /** From its beginning until it is ended; of a killed pod, until it starts again. */
  readonly lengthMs: number;
}

export interface Place {
  readonly cluster: Cluster;
  readonly network: ClusterNetwork;
  /** Name of the pod that leads the shard of this index, as far as it is known. */
  readonly primaryOf: (shard: number) => string | undefined;
  /** Names of pods that a fault has hold of. */
  readonly busy: Set<string>;
}

/** Resolves when it is over: processes run again, packets pass again. Nobody has recovered from it by then. */
export async function inflict(place: Place, fault: Fault, tell: (what: string) => void): Promise<void> {
  const { pod, others } = find(place, fault.victim);
  place.busy.add(pod.name);
  try {
    await strike(place, fault, pod, others, tell);
  } finally {
    place.busy.delete(pod.name);
  }
}

async function strike({ cluster, network }: Place, { kind, victim, lengthMs }: Fault, pod: PodProcess, others: readonly PodProcess[], tell: (what: string) => void): Promise<void> {
  const everybody = [machine, ...cluster.pods, ...cluster.gateways, ...cluster.controllers].map((each) => (typeof each === 'string' ? each : each.name)).filter((name) => name !== pod.name);
  const other = others[victim.choice % others.length]!.name;
  tell(`${kind}: ${pod.name} (${victim.role} of shard ${victim.shard})${kind.endsWith('a pod') ? `, and ${other}` : ''}, ${(lengthMs / 1_000).toFixed(1)} s`);
  const cut = async (ways: readonly Way[]): Promise<void> => {
    await network.cut(ways);
    try {
      await pause(lengthMs);
    } finally {
      await network.heal(ways);
    }
  };
  switch (kind) {
    case 'kill -9':
      await pod.kill();
      await pause(lengthMs);
      pod.spawn();
      return;
    case 'disk wiped':
      await cluster.wipe(pod);
      await pause(lengthMs);
      pod.spawn();
      return;
    case 'stopped':
      pod.pause();
      await pause(lengthMs);
      pod.resume();
      return;
    case 'cut off':
      return cut(bothWays(pod.name, everybody));
    case 'hears nobody':
      return cut(everybody.map((from) => ({ from, to: pod.name })));
    case 'heard by nobody':
      return cut(everybody.map((to) => ({ from: pod.name, to })));
    case 'cut off from a pod':
      return cut(bothWays(pod.name, [other]));
    case 'one way cut to a pod':
      return cut([{ from: pod.name, to: other }]);
    case 'cut off from the API':
      return cut(bothWays(pod.name, [machine]));
    case 'cut off from the controller':
      return cut(bothWays(pod.name, cluster.controllers.map(({ name }) => name)));
  }
}

/** The pod that has this role now, or another where two faults would meet; without a known primary, any. */
function find({ cluster, primaryOf, busy }: Place, { shard, role, choice }: Victim): { readonly pod: PodProcess; readonly others: readonly PodProcess[] } {
  const primary = cluster.pods.find(({ name }) => name === primaryOf(shard)) ?? cluster.pods[choice % cluster.pods.length]!;
  const backups = cluster.pods.filter((pod) => pod !== primary);
  const wanted = role === 'primary' ? primary : backups[choice % backups.length]!;
  const pod = [wanted, ...cluster.pods].find(({ name }) => !busy.has(name))!;
  return { pod, others: cluster.pods.filter((each) => each !== pod) };
}
