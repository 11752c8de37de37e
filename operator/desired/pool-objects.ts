/**
 * The ordinary objects of a pool: its StatefulSet and its PodDisruptionBudget, and the one Service of all pools. Pure: from
 * the pool, what the operator was told, and what of the live StatefulSet must stay as it is.
 */

import type { V1PersistentVolumeClaim, V1PodDisruptionBudget, V1Service, V1StatefulSet } from '../../pods/kube/resources.ts';
import type { VectorPool } from '../../pods/metadata/objects.ts';
import type { SeenClaimTemplate, SeenStatefulSet } from '../observe/objects.ts';
import { dataPodRole, dataVolume, internalPort, managedByLabel, objectLabels, operatorName, ownedBy, podSelector, podsService, roleLabel, statusPort } from './names.ts';
import { podSpec, type PodOptions } from './pod-template.ts';

/**
 * `replicas`: how many pods there shall be now, which is more than the pool wants while pods that leave are being drained.
 * `live` is the StatefulSet as it is, if there is one: its claim templates stay, since they cannot change, and volumes grow
 * by another way.
 */
export function poolStatefulSet(pool: VectorPool, options: PodOptions, replicas: number, live: SeenStatefulSet | undefined): V1StatefulSet {
  const { name } = pool.metadata;
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name, labels: objectLabels(name), ownerReferences: [ownedBy('VectorPool', pool)] },
    spec: {
      replicas,
      serviceName: podsService,
      // The operator replaces pods one by one, when it harms no shard; the controller of StatefulSets does not know.
      updateStrategy: { type: 'OnDelete' },
      podManagementPolicy: 'Parallel',
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      selector: { matchLabels: podSelector(name) },
      template: { metadata: { labels: objectLabels(name) }, spec: podSpec(pool, options) },
      volumeClaimTemplates: [claimTemplate(pool, options, live?.spec.volumeClaimTemplates?.find(({ metadata }) => metadata.name === dataVolume))],
    },
  };
}

export function poolDisruptionBudget(pool: VectorPool): V1PodDisruptionBudget {
  const { name } = pool.metadata;
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name, labels: objectLabels(name), ownerReferences: [ownedBy('VectorPool', pool)] },
    // A pod counts as available while it is ready, hence while all its replicas are in sync.
    spec: { maxUnavailable: 1, selector: { matchLabels: podSelector(name) } },
  };
}

/** Gives each data pod of the namespace a name, ready or not: pods that are not have to reach each other to become it. Goes with the last pool. */
export function dataPodsService(pools: readonly VectorPool[]): V1Service {
  const owners = [...pools].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)).map((pool) => ownedBy('VectorPool', pool, { isController: false }));
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: podsService,
      labels: { [managedByLabel]: operatorName, 'app.kubernetes.io/name': 'shoal', 'app.kubernetes.io/component': dataPodRole },
      ownerReferences: owners,
    },
    spec: {
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: { [roleLabel]: dataPodRole },
      ports: [
        { name: 'internal', port: internalPort, protocol: 'TCP', targetPort: 'internal' },
        { name: 'status', port: statusPort, protocol: 'TCP', targetPort: 'status' },
      ],
    },
  };
}

function claimTemplate(pool: VectorPool, { volumeAccessMode }: PodOptions, live: SeenClaimTemplate | undefined): V1PersistentVolumeClaim {
  const { size, storageClassName } = pool.spec.storage;
  const wanted = {
    accessModes: [volumeAccessMode],
    resources: { requests: { storage: size } },
    ...(storageClassName === undefined ? {} : { storageClassName }),
  };
  const { accessModes, resources, storageClassName: liveClass } = live?.spec ?? {};
  const kept = { accessModes: [...(accessModes ?? [])], resources: { requests: { ...resources?.requests } }, ...(liveClass === undefined ? {} : { storageClassName: liveClass }) };
  return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: dataVolume, labels: podSelector(pool.metadata.name) }, spec: live === undefined ? wanted : kept };
}
