/** The pool of a collection that has pods of its own. Pure. */

import { collectionLabel, type VectorCollection, type VectorPool } from '../../pods/metadata/objects.ts';
import { managedByLabel, operatorName, ownedBy, defaultPool } from './names.ts';

/** On a dedicated pool: `Delete` when its volumes go with it. */
export const volumesAnnotation = 'shoal.dev/volumes';

/** As the CRD fills it in where nobody says otherwise. */
const defaultStorage = '10Gi';

/** The name of the pool that a collection's shards are on. */
export function poolOf({ metadata, spec }: VectorCollection): string {
  if (isDedicated(spec)) return metadata.name;
  return spec.placement?.pool ?? defaultPool;
}

export function isDedicated(spec: VectorCollection['spec']): boolean {
  return spec.placement?.dedicated !== undefined;
}

export interface PoolManifest {
  readonly metadata: Pick<VectorPool['metadata'], 'name' | 'labels' | 'annotations' | 'ownerReferences'>;
  readonly spec: Partial<VectorPool['spec']>;
}

/** Fields that it leaves out have their defaults, or what a human has given them. */
export function dedicatedPool(collection: VectorCollection): PoolManifest {
  const { metadata, spec } = collection;
  const { pods, storage = defaultStorage, storageClassName, resources } = spec.placement?.dedicated ?? {};
  return {
    metadata: {
      name: metadata.name,
      labels: { [managedByLabel]: operatorName, [collectionLabel]: metadata.name },
      annotations: { [volumesAnnotation]: spec.deletionPolicy ?? 'Delete' },
      ownerReferences: [ownedBy('VectorCollection', collection)],
    },
    spec: {
      replicas: pods ?? spec.replication.replicas,
      storage: { size: storage, ...(storageClassName === undefined ? {} : { storageClassName }) },
      ...(resources === undefined ? {} : { resources }),
    },
  };
}
