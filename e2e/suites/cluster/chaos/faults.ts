/**
 * What is done to a cluster of processes. A fault names its victim by role, so that a seed that kills a primary kills one,
 * whoever leads at that moment; everything else of it is in the plan.
 */

import { bothWays, machine, type ClusterNetwork, type Way } from '../../../framework/cluster/network.ts';
import type { Cluster, PodProcess } from '../../../framework/cluster/cluster.ts';
import type { ClusterProcess } from '../../../framework/cluster/cluster-process.ts';
import { eventually, pause, timeoutsMs } from '../../../framework/timeouts.ts';

export const podFaultKinds = [
  'kill -9',
  'stopped',
  'stopped past every time-out',
  'cut off',
  'hears nobody',
  'heard by nobody',
  'cut off from a pod',
  'one way cut to a pod',
  'cut off from the API',
  'cut off from the controller',
  'disk wiped',
] as const;
export type PodFaultKind = (typeof podFaultKinds)[number];

export interface PodVictim {
  readonly shard: number;
  readonly role: 'primary' | 'backup';
  /** Which of the others, where there is a choice. */
  readonly choice: number;
}

/** `lengthMs`: from its beginning until it is ended; of a process that was killed, until it starts again. */
export type Fault = { readonly lengthMs: number } & (
  | { readonly kind: PodFaultKind; readonly victim: PodVictim }
  | { readonly kind: 'gateway killed' | 'gateway stopped past every time-out'; readonly gateway: number }
  | { readonly kind: 'controller killed' | 'controller stopped' }
);
export type FaultKind = Fault['kind'];

export interface Place {
  readonly cluster: Cluster;
  readonly network: ClusterNetwork;
  /** Name of the pod that leads the shard of this index, as far as it is known. */
  readonly primaryOf: (shard: number) => string | undefined;
  /** Names of pods that a fault has hold of. */
  readonly busy: Set<string>;
  /** Answers that clients have got through a gateway so far. */
  readonly answerCount: (gateway: string) => number;
}

type Tell = (what: string) => void;

/** Resolves when it is over: processes run again, packets pass again. Nobody has recovered from it by then. */
export async function inflict(place: Place, fault: Fault, tell: Tell): Promise<void> {
  const { cluster } = place;
  switch (fault.kind) {
    case 'gateway killed':
    case 'gateway stopped past every time-out':
      return strikeGateway(place, fault.kind, fault.gateway, fault.lengthMs, tell);
    case 'controller killed':
      return kill(cluster.controllers[0]!, fault.lengthMs, tell);
    case 'controller stopped':
      return stop(cluster.controllers[0]!, fault.lengthMs, tell);
    default: {
      const { pod, others } = find(place, fault.victim);
      place.busy.add(pod.name);
      try {
        await strikePod(place, fault, pod, others, tell);
      } finally {
        place.busy.delete(pod.name);
      }
    }
  }
}

/** Clients go on through the other gateways meanwhile: it is not over before each of them has answered somebody. */
async function strikeGateway({ cluster, answerCount }: Place, kind: FaultKind, index: number, lengthMs: number, tell: Tell): Promise<void> {
  const gateway = cluster.gateways[index % cluster.gateways.length]!;
  const others = cluster.gateways.filter((each) => each !== gateway);
  const before = others.map(({ name }) => answerCount(name));
  const othersAnswered = async (): Promise<void> => {
    for (const [i, { name }] of others.entries()) {
      await eventually(timeoutsMs.request, `${name} to answer somebody while ${gateway.name} is away`, () => Promise.resolve(answerCount(name) > before[i]! ? true : undefined));
    }
  };
  if (kind === 'gateway killed') await kill(gateway, lengthMs, tell, othersAnswered);
  else await stop(gateway, lengthMs, tell, othersAnswered);
}

async function kill(process: ClusterProcess, lengthMs: number, tell: Tell, until?: () => Promise<void>): Promise<void> {
  tell(`kill -9: ${process.name}, ${seconds(lengthMs)}`);
  await process.kill();
  await pause(lengthMs);
  await until?.();
  process.spawn();
}

/** Its connections stay open. */
async function stop(process: ClusterProcess, lengthMs: number, tell: Tell, until?: () => Promise<void>): Promise<void> {
  tell(`stopped: ${process.name}, ${seconds(lengthMs)}`);
  process.pause();
  await pause(lengthMs);
  await until?.();
  process.resume();
}

async function strikePod({ cluster, network }: Place, { kind, victim, lengthMs }: Extract<Fault, { kind: PodFaultKind }>, pod: PodProcess, others: readonly PodProcess[], tell: Tell): Promise<void> {
  const everybody = [machine, ...cluster.pods, ...cluster.gateways, ...cluster.controllers].map((each) => (typeof each === 'string' ? each : each.name)).filter((name) => name !== pod.name);
  const other = others[victim.choice % others.length]!.name;
  tell(`${kind}: ${pod.name} (${victim.role} of shard ${victim.shard})${kind.endsWith('a pod') ? `, and ${other}` : ''}, ${seconds(lengthMs)}`);
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
    case 'stopped past every time-out':
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

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

/** The pod that has this role now, or another where two faults would meet; without a known primary, any. */
function find({ cluster, primaryOf, busy }: Place, { shard, role, choice }: PodVictim): { readonly pod: PodProcess; readonly others: readonly PodProcess[] } {
  const primary = cluster.pods.find(({ name }) => name === primaryOf(shard)) ?? cluster.pods[choice % cluster.pods.length]!;
  const backups = cluster.pods.filter((pod) => pod !== primary);
  const wanted = role === 'primary' ? primary : backups[choice % backups.length]!;
  const pod = [wanted, ...cluster.pods].find(({ name }) => !busy.has(name))!;
  return { pod, others: cluster.pods.filter((each) => each !== pod) };
}
