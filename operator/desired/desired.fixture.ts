/** Objects for the tests of what is desired and decided: as small as they can be, to be changed by each case. */

import { collectionSpec } from '../../pods/domain/collection.ts';
import type { ObjectMetadata, VectorCollection, VectorPool } from '../../pods/metadata/objects.ts';
import type { SeenPod } from '../observe/objects.ts';
import type { PodOptions } from './pod-template.ts';

export function metadata(name: string, change: Partial<ObjectMetadata> = {}): ObjectMetadata {
  return { name, uid: `uid-${name}`, resourceVersion: '1', generation: 1, creationTimestampMs: 1_000, labels: {}, finalizers: [], ...change };
}

export function poolObject(name: string, spec: Partial<VectorPool['spec']> = {}, change: Partial<ObjectMetadata> = {}): VectorPool {
  return { metadata: metadata(name, change), spec: { replicas: 3, storage: { size: '10Gi' }, topologySpread: ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'], ...spec }, status: { observedGeneration: 0, replicas: 0, readyReplicas: 0 } };
}

export function collectionObject(name: string, spec: Partial<VectorCollection['spec']> = {}, change: Partial<ObjectMetadata> = {}, status: Partial<VectorCollection['status']> = {}): VectorCollection {
  return {
    metadata: metadata(name, change),
    spec: { ...collectionSpec({ name, dimension: 3 }), ...spec },
    status: { phase: 'Pending', observedGeneration: 0, shards: [], routing: { epoch: 1, generation: 1 }, ...status },
  };
}

export const podOptions: PodOptions = { image: 'shoal:1', imagePullPolicy: 'IfNotPresent', imagePullSecrets: [], logLevel: 'info', volumeAccessMode: 'ReadWriteOncePod', hasInternalTls: true };

export function seenPod(name: string, change: Partial<SeenPod['metadata']> = {}, status: NonNullable<SeenPod['status']> = {}): SeenPod {
  return { metadata: { name, uid: `uid-${name}`, resourceVersion: '1', ...change }, spec: { nodeName: 'node-1', containers: [{ name: 'shoal', image: 'shoal:1' }] }, status };
}
