/**
 * The data pods as placement sees them: where each runs, by the labels that its pool is spread over, and whether it takes
 * replicas. What scale-in, rollout and drain want of a pod stands in the object: annotations of the pod, and the operation
 * and the drains of its pool's status.
 */

import type { KubeClient } from '../../pods/kube/client.ts';
import type { VectorPool } from '../../pods/metadata/objects.ts';
import type { DirectoryPod, PodDirectory } from '../../pods/controller/pod-directory.ts';
import { drainAnnotation } from '../../pods/controller/kube-pod-directory.ts';
import { ordinalOf, poolLabel } from '../desired/names.ts';
import { pathOf } from '../runtime/kinds.ts';
import type { ObservedCluster } from './cluster.ts';
import { isGoing, type SeenNode, type SeenPod } from './objects.ts';
import type { ShoalObjects } from './shoal-objects.ts';

/** Pure. `pool` and `node` are undefined where they are not known. */
export function directoryPod(pod: SeenPod, pool: VectorPool | undefined, node: SeenNode | undefined): DirectoryPod {
  const { name, uid, annotations = {} } = pod.metadata;
  const { operation, drains = [] } = pool?.status ?? {};
  const drain = drains.find((each) => each.pod === name);
  const ordinal = pool === undefined ? undefined : ordinalOf(pool.metadata.name, name);
  const isLeaving = pool !== undefined && ordinal !== undefined && ordinal >= pool.spec.replicas;
  return {
    name,
    domains: domainsOf(pod, pool, node),
    isDraining: isUnderWay(drain),
    // It has no place yet, or is about to have none; and what shall drain takes nothing new, from the wish on.
    isClosed: pod.spec.nodeName === undefined || isGoing(pod) || isLeaving || drain !== undefined || annotations[drainAnnotation] === 'true' || node?.spec?.unschedulable === true,
    isBeingReplaced: operation?.pod === name && operation.podUID === uid,
  };
}

/** Pods that are gone and that replicas shall leave all the same. */
export function gonePods(pool: VectorPool, pods: readonly SeenPod[]): DirectoryPod[] {
  const gone = (pool.status.drains ?? []).filter((drain) => isUnderWay(drain) && !pods.some(({ metadata }) => metadata.name === drain.pod));
  return gone.map(({ pod }) => ({ name: pod, isDraining: true }));
}

function isUnderWay(drain: NonNullable<VectorPool['status']['drains']>[number] | undefined): boolean {
  return drain?.phase === 'Draining' || drain?.phase === 'Drained';
}

/** Values of the labels that the pool is spread over; '' where the node lacks one. */
export function domainsOf(pod: SeenPod, pool: VectorPool | undefined, node: SeenNode | undefined): string[] {
  const { nodeName } = pod.spec;
  const labels: Readonly<Record<string, string>> = { ...node?.metadata.labels, ...(nodeName === undefined ? {} : { 'kubernetes.io/hostname': node?.metadata.labels?.['kubernetes.io/hostname'] ?? nodeName }) };
  return (pool?.spec.topologySpread ?? ['topology.kubernetes.io/zone', 'kubernetes.io/hostname']).map((label) => labels[label] ?? '');
}

export interface OperatorPodDirectoryOptions {
  readonly observed: ObservedCluster;
  readonly pools: ShoalObjects<VectorPool>;
  readonly client: KubeClient;
  readonly namespace: string;
}

export class OperatorPodDirectory implements PodDirectory {
  readonly #options: OperatorPodDirectoryOptions;
  readonly #watchers = new Set<() => void>();
  readonly #unwatch: readonly (() => void)[];
  #listed: readonly DirectoryPod[] = [];
  #text = '';

  constructor(options: OperatorPodDirectoryOptions) {
    this.#options = options;
    const { observed, pools } = options;
    const look = (): void => this.#look();
    this.#unwatch = [observed.pods.onChange(look), observed.nodes.onChange(look), pools.onChange(look)];
  }

  list(): readonly DirectoryPod[] {
    return this.#listed;
  }

  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange);
    return () => this.#watchers.delete(onChange);
  }

  async isGone(pod: string, podUID: string): Promise<boolean> {
    const { client, namespace } = this.#options;
    const found = (await client.read(pathOf('Pod', namespace, pod))) as SeenPod | undefined;
    return found?.metadata.uid !== podUID;
  }

  close(): void {
    for (const unwatch of this.#unwatch) unwatch();
    this.#watchers.clear();
  }

  /** Pods and nodes change many times a minute in ways that matter to nobody here. */
  #look(): void {
    const { observed, pools } = this.#options;
    const pods = observed.pods.list();
    const listed = pods.map((pod) => {
      const node = pod.spec.nodeName === undefined ? undefined : observed.nodes.get(pod.spec.nodeName);
      return directoryPod(pod, pools.get(pod.metadata.labels?.[poolLabel] ?? ''), node);
    });
    this.#listed = [...listed, ...pools.list().flatMap((pool) => gonePods(pool, pods))];
    const text = JSON.stringify(this.#listed);
    if (text === this.#text) return;
    this.#text = text;
    for (const watcher of this.#watchers) watcher();
  }
}
