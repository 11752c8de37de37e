/**
 * Rule F1, and A2 where data goes, checked on the registries of all pods:
 *
 *     an incarnation has one local number on one disk, and a number one incarnation, for ever
 *     a replica gives way only to a read of its object that does not list its incarnation
 *
 * The second is about the pod's last reads of the object before the replica was gone, because what the store said after
 * them cannot have been known. A shard that is being deleted takes its data with it.
 */

import type { VectorShard } from '../../../pods/metadata/objects.ts';
import { InvariantBroken } from './invariant-broken.ts';
import type { SimulatedPod } from './node.ts';
import type { PodMachine } from './pod-machine.ts';
import type { World } from './world.ts';

/** What is looked at. */
export interface Watched {
  readonly names: World['names'];
  pod(name: string): Pick<SimulatedPod, 'registered'> | undefined;
  readonly machine: World['machine'];
  onShardRead: World['onShardRead'];
}

interface Seen {
  /** By shard UID. */
  readonly incarnations: Map<string, string>;
  /** By local number. */
  readonly numbers: Map<number, string>;
}

export class Incarnations {
  readonly #world: Watched;
  readonly #exercise: (what: string) => void;
  readonly #seen = new Map<PodMachine, Seen>();
  /** Where each incarnation lives. */
  readonly #homes = new Map<string, { readonly machine: PodMachine; readonly pod: string; readonly localReplica: number }>();
  /** What each pod has read of a shard since its replica was seen last, and the read before that; by pod and shard UID. */
  readonly #reads = new Map<string, VectorShard[]>();

  constructor(world: Watched, exercise: (what: string) => void) {
    this.#world = world;
    this.#exercise = exercise;
    world.onShardRead = (pod, shard) => {
      const key = `${pod} ${shard.metadata.uid}`;
      const reads = this.#reads.get(key);
      if (reads === undefined) this.#reads.set(key, [shard]);
      else reads.push(shard);
    };
  }

  /** Throws `InvariantBroken`. */
  check(): void {
    for (const pod of this.#world.names('pod')) {
      const registered = this.#world.pod(pod)?.registered();
      if (registered === undefined) continue;
      const machine = this.#world.machine(pod);
      let seen = this.#seen.get(machine);
      if (seen === undefined) this.#seen.set(machine, (seen = { incarnations: new Map(), numbers: new Map() }));
      for (const { incarnation, localReplica } of registered) this.#checkHome(pod, machine, seen, incarnation, localReplica);
      const present = new Map(registered.map(({ shardUID, incarnation }) => [shardUID, incarnation]));
      for (const [shardUID, incarnation] of seen.incarnations) {
        if (present.get(shardUID) !== incarnation) this.#checkGone(pod, shardUID, incarnation);
      }
      seen.incarnations.clear();
      for (const [shardUID, incarnation] of present) {
        seen.incarnations.set(shardUID, incarnation);
        const reads = this.#reads.get(`${pod} ${shardUID}`);
        reads?.splice(0, reads.length - 1);
      }
    }
  }

  #checkHome(pod: string, machine: PodMachine, { numbers }: Seen, incarnation: string, localReplica: number): void {
    const home = this.#homes.get(incarnation);
    if (home === undefined) this.#homes.set(incarnation, { machine, pod, localReplica });
    else if (home.machine !== machine || home.localReplica !== localReplica) {
      throw new InvariantBroken(`incarnation ${incarnation.slice(0, 4)} is that of replica ${localReplica} on ${pod}, and was that of replica ${home.localReplica} on ${home.pod}${home.machine === machine ? '' : ', on another disk'} (F1)`);
    }
    const before = numbers.get(localReplica);
    if (before === undefined) numbers.set(localReplica, incarnation);
    else if (before !== incarnation) throw new InvariantBroken(`number ${localReplica} on ${pod} was given to incarnation ${before.slice(0, 4)}, and now to ${incarnation.slice(0, 4)} (F1)`);
  }

  #checkGone(pod: string, shardUID: string, incarnation: string): void {
    this.#exercise('replicas that gave way');
    const reads = this.#reads.get(`${pod} ${shardUID}`) ?? [];
    if (reads.some((shard) => mayGo(shard, pod, incarnation))) return;
    throw new InvariantBroken(`${pod} gave up incarnation ${incarnation.slice(0, 4)} of shard ${shardUID.slice(0, 8)}, which its object listed when it was read last (F1, A2)`);
  }
}

function mayGo({ metadata, status }: VectorShard, pod: string, incarnation: string): boolean {
  if (metadata.deletionTimestampMs !== undefined) return true;
  const { inSync = [], primary } = status.authority ?? {};
  return ![...inSync, ...(primary === undefined ? [] : [primary])].some((member) => member.pod === pod && member.incarnation === incarnation);
}
