/** What a pool's state, as the operator reads it, says in the terms of the decisions here. Pure. */

import { collectionOfShard } from '../../pods/metadata/object-name.ts';
import type { VectorCollection, VectorPool, VectorShard } from '../../pods/metadata/objects.ts';
import { drainAnnotation } from '../../pods/controller/kube-pod-directory.ts';
import type { PoolState } from '../controllers/pool/pool-state.ts';
import { whyNotReady } from '../controllers/pool/report.ts';
import { dataVolume, ordinalOf } from '../desired/names.ts';
import { domainsOf } from '../observe/pod-directory.ts';
import { isGoing, isTrue, type SeenClaim, type SeenNode, type SeenPod, type SeenStatefulSet } from '../observe/objects.ts';
import { firstDifference } from '../runtime/apply.ts';
import { allowOutageAnnotation, type PodFacts, type PoolFacts, type ShardUse } from './pool-facts.ts';
import type { ClaimFacts, VolumeFacts } from './volume-growth.ts';

/** What StatefulSets label their pods with. */
const revisionLabel = 'controller-revision-hash';

export function readPoolFacts(state: PoolState): PoolFacts {
  const { pool, statefulSet, pods, shards, collections, nowMs } = state;
  const { name, annotations } = pool.metadata;
  const { operation, drains = [] } = pool.status;
  const { observedGeneration, updateRevision } = statefulSet?.status ?? {};
  const isSettled = observedGeneration === statefulSet?.metadata.generation && updateRevision !== undefined && updateRevision !== '';
  return {
    pool: name,
    replicas: pool.spec.replicas,
    allowsOutage: annotations?.[allowOutageAnnotation] === 'true',
    ...(operation === undefined ? {} : { operation }),
    drains,
    ...(statefulSet === undefined ? {} : { statefulSet: { uid: statefulSet.metadata.uid, replicas: statefulSet.spec.replicas ?? 1, ...(isSettled ? { updateRevision } : {}) } }),
    pods: pods.flatMap((pod) => onePod(pod, state) ?? []).sort((a, b) => a.ordinal - b.ordinal),
    // In one order, whoever listed them: what is decided, and said, must not depend on it.
    shards: [...shards].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1)).map((shard) => useOf(shard, collections)),
    nowMs,
  };
}

function useOf(shard: VectorShard, collections: ReadonlyMap<string, VectorCollection>): ShardUse {
  const found = collections.get(collectionOfShard(shard.metadata.name));
  const { replicas, minInSync } = found?.metadata.uid === shard.spec.collection.uid ? found.spec.replication : { replicas: shard.spec.replicas.length, minInSync: shard.spec.minInSync };
  return { shard, replicas, minInSync };
}

function onePod(pod: SeenPod, { pool, statefulSet, claims, nodes, heard, nowMs }: PoolState): PodFacts | undefined {
  const { name, uid, labels, annotations } = pod.metadata;
  const ordinal = ordinalOf(pool.metadata.name, name);
  if (ordinal === undefined) return undefined;
  const node = pod.spec.nodeName === undefined ? undefined : nodes.get(pod.spec.nodeName);
  const revision = labels?.[revisionLabel];
  const isReady = isTrue(pod.status?.conditions, 'Ready');
  const observed = heard.get(name);
  const away = awayOf(pod, node, nowMs);
  const difference = statefulSet === undefined || revision === undefined || revision === statefulSet.status?.updateRevision ? undefined : differenceOf(pod, statefulSet);
  const claim = claims.find(({ metadata }) => metadata.name === `${dataVolume}-${name}`);
  return {
    name,
    ordinal,
    uid,
    ...(revision === undefined ? {} : { revision }),
    ...(difference === undefined ? {} : { difference }),
    needsRestart: isTrue(claim?.status?.conditions, 'FileSystemResizePending'),
    isReady: isReady && !isGoing(pod),
    isServing: !isGoing(pod) && observed?.isSilent === false && observed.report?.podUID === uid,
    ...(observed?.report?.podUID === uid ? { freeBytes: observed.report.freeBytes } : {}),
    isEnding: isGoing(pod),
    ...(isReady ? {} : { trouble: whyNotReady(pod) }),
    ...(pod.spec.nodeName === undefined ? {} : { node: { name: pod.spec.nodeName, isCordoned: node?.spec?.unschedulable === true, domains: domainsOf(pod, pool, node) } }),
    ...(away === undefined ? {} : { away }),
    isAskedToDrain: annotations?.[drainAnnotation] === 'true',
  };
}

/** Which part of the template the pod does not have. */
function differenceOf(pod: SeenPod, { spec: { template } }: SeenStatefulSet): string | undefined {
  const wanted = template.spec as SeenPod['spec'];
  for (const { name, image } of wanted.containers ?? []) {
    const present = pod.spec.containers.find((container) => container.name === name)?.image;
    if (image !== undefined && present !== image) return `image ${image} is wanted instead of ${present ?? 'none'}`;
  }
  const inSpec = firstDifference(wanted, pod.spec);
  const path = inSpec ?? firstDifference({ labels: template.metadata?.labels, annotations: template.metadata?.annotations }, pod.metadata);
  return path === undefined ? undefined : `${path} is not as wanted`;
}

/** Only what lasts and has nothing to do with the program: the pod is stuck, or there is nowhere for it to be. */
function awayOf(pod: SeenPod, node: SeenNode | undefined, nowMs: number): PodFacts['away'] {
  const conditionOf = (type: string): { readonly sinceMs: number; readonly message: string } | undefined => {
    const found = pod.status?.conditions?.find((condition) => condition.type === type);
    const sinceMs = found?.lastTransitionTime === undefined ? NaN : Date.parse(found.lastTransitionTime);
    return found === undefined || found.status === 'True' || Number.isNaN(sinceMs) ? undefined : { sinceMs, message: found.message ?? '' };
  };
  const { deletionTimestamp } = pod.metadata;
  const { nodeName } = pod.spec;
  const unready = conditionOf('Ready');
  if (nodeName === undefined) {
    const unscheduled = conditionOf('PodScheduled');
    return unscheduled === undefined ? undefined : { sinceMs: unscheduled.sinceMs, because: `no node takes it: ${unscheduled.message}` };
  }
  const isNodeReady = isTrue(node?.status?.conditions, 'Ready');
  if (!isNodeReady && unready !== undefined) return { sinceMs: unready.sinceMs, because: `its node ${nodeName} is ${node === undefined ? 'gone' : 'not ready'}` };
  // The instant by which it should have ended.
  const dueMs = deletionTimestamp === undefined ? NaN : Date.parse(deletionTimestamp);
  return dueMs < nowMs ? { sinceMs: dueMs, because: `it was told to end, and nobody on node ${nodeName} says that it has` } : undefined;
}

/** `growable`: by name, whether a storage class lets volumes grow; of the others it is not known. */
export function readVolumeFacts({ pool, statefulSet, claims }: PoolState, growable: ReadonlyMap<string, boolean>): VolumeFacts {
  const claimSize = statefulSet?.spec.volumeClaimTemplates?.find(({ metadata }) => metadata.name === dataVolume)?.spec.resources?.requests?.storage;
  return {
    size: pool.spec.storage.size,
    claims: claims.flatMap((claim) => oneClaim(claim, pool, growable) ?? []),
    // One that goes already is gone for this purpose.
    ...(statefulSet === undefined || isGoing(statefulSet) ? {} : { statefulSet: { uid: statefulSet.metadata.uid, ...(claimSize === undefined ? {} : { claimSize }) } }),
  };
}

function oneClaim({ metadata, spec, status }: SeenClaim, pool: VectorPool, growable: ReadonlyMap<string, boolean>): ClaimFacts | undefined {
  const requested = spec.resources?.requests?.storage;
  const isOfPool = metadata.name.startsWith(`${dataVolume}-`) && ordinalOf(pool.metadata.name, metadata.name.slice(dataVolume.length + 1)) !== undefined;
  if (!isOfPool || requested === undefined || metadata.deletionTimestamp !== undefined) return undefined;
  const { storageClassName: storageClass } = spec;
  const mayGrow = storageClass === undefined ? undefined : growable.get(storageClass);
  const trouble = status?.conditions?.find(({ type, status: value }) => value === 'True' && ['FileSystemResizePending', 'ControllerResizeError', 'NodeResizeError', 'ModifyVolumeError'].includes(type));
  return {
    name: metadata.name,
    uid: metadata.uid,
    requested,
    ...(status?.capacity?.storage === undefined ? {} : { capacity: status.capacity.storage }),
    ...(mayGrow === undefined ? {} : { mayGrow }),
    ...(storageClass === undefined ? {} : { storageClass }),
    ...(trouble === undefined ? {} : { trouble: [trouble.type, trouble.message].filter((part) => part !== undefined && part !== '').join(': ') }),
  };
}
