/**
 * The built-in objects that the operator watches: those of one namespace, and the nodes. They are watched by label, so that
 * a namespace full of other things costs nothing. Our own objects are in shoal-objects.ts.
 */

import type { Logger } from '../../pods/kernel/logger.ts';
import type { KubeClient } from '../../pods/kube/client.ts';
import { dataPodRole, managedSelector, roleLabel } from '../desired/names.ts';
import { pathOf, type KindName } from '../runtime/kinds.ts';
import { Informer } from './informer.ts';
import type { SeenClaim, SeenJob, SeenNode, SeenObject, SeenPod, SeenStatefulSet } from './objects.ts';

export interface ObservedCluster {
  readonly statefulSets: Informer<SeenStatefulSet>;
  readonly services: Informer<SeenObject>;
  readonly disruptionBudgets: Informer<SeenObject>;
  /** Those with the role of a data pod, whoever made them. */
  readonly pods: Informer<SeenPod>;
  /** The volumes of such pods. */
  readonly claims: Informer<SeenClaim>;
  readonly nodes: Informer<SeenNode>;
  readonly jobs: Informer<SeenJob>;
}

export interface ClusterWatch extends ObservedCluster {
  /** Resolves when each kind was listed once. */
  readonly listed: Promise<void>;
  /** Kinds that have not been listed yet. */
  missing(): string[];
  /** Kinds whose watch has not been heard of lately. */
  stale(): string[];
  close(): void;
}

export function watchCluster({ client, namespace, logger }: { readonly client: KubeClient; readonly namespace: string; readonly logger: Logger }): ClusterWatch {
  const dataPods = `${roleLabel}=${dataPodRole}`;
  const inform = <T extends SeenObject>(kind: KindName, labelSelector?: string): Informer<T> =>
    new Informer<T>({ client, logger, path: pathOf(kind, namespace), ...(labelSelector === undefined ? {} : { labelSelector }) });
  const informers = {
    statefulSets: inform<SeenStatefulSet>('StatefulSet', managedSelector),
    services: inform<SeenObject>('Service', managedSelector),
    disruptionBudgets: inform<SeenObject>('PodDisruptionBudget', managedSelector),
    pods: inform<SeenPod>('Pod', dataPods),
    claims: inform<SeenClaim>('PersistentVolumeClaim', dataPods),
    nodes: inform<SeenNode>('Node'),
    jobs: inform<SeenJob>('Job', managedSelector),
  };
  const named = Object.entries(informers) as [string, Pick<Informer<SeenObject>, 'listed' | 'hasListed' | 'isFresh' | 'close'>][];
  return {
    ...informers,
    listed: Promise.all(named.map(([, informer]) => informer.listed)).then(() => undefined),
    missing: () => named.flatMap(([name, { hasListed }]) => (hasListed ? [] : [name])),
    stale: () => named.flatMap(([name, { isFresh }]) => (isFresh ? [] : [name])),
    close: () => named.forEach(([, informer]) => informer.close()),
  };
}
