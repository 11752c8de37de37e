/**
 * The objects of group `shoal.dev/v1alpha1` as the code sees them, in one process and on Kubernetes alike: what users
 * want (`spec`) and what is (`status`). Their fields are generated from the CRDs in `crds/`; docs/kubernetes-objects.md
 * explains them.
 */

import type { CollectionSpec } from '../domain/collection.ts';
import type { VectorCollectionSpec, VectorCollectionStatus, VectorPoolSpec, VectorPoolStatus, VectorShardSpec, VectorShardStatus } from '../../crds/gen/objects.ts';

export interface ObjectMetadata {
  /** Unique among objects of one kind; a legal Kubernetes name. */
  readonly name: string;
  readonly uid: string;
  /** Changes with every write that changes something; compare for equality only. */
  readonly resourceVersion: string;
  /** Counts the changes of `spec`, from 1; and the request to delete the object. */
  readonly generation: number;
  readonly creationTimestampMs: number;
  /** Set once deletion was asked for; the object goes when its last finalizer is taken away. */
  readonly deletionTimestampMs?: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Who has something to clear away before the object may go. */
  readonly finalizers: readonly string[];
  /** With whom it goes. */
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** What people look at; the code decides by the other fields. `lastTransitionTime`: RFC 3339, whole seconds. */
export type Condition = NonNullable<VectorCollectionStatus['conditions']>[number];

/** A status in which these fields are there from the start (`initialStatus`), whether or not anybody has written them. */
type Beginning<Status, Field extends keyof Status> = Status & { readonly [Name in Field]-?: NonNullable<Status[Name]> };

/** Where its shards are, and what becomes of its data in the end: matters of a cluster, which the APIs do not name. */
export type CollectionHosting = Pick<VectorCollectionSpec, 'placement' | 'deletionPolicy'>;

export interface VectorCollection {
  readonly metadata: ObjectMetadata;
  /** In a cluster it has its hosting, by default if nobody said it; in one process there is none. */
  readonly spec: CollectionSpec & Partial<CollectionHosting>;
  readonly status: Beginning<VectorCollectionStatus, 'phase' | 'observedGeneration' | 'shards' | 'routing'>;
}

/** A StatefulSet of data pods that host shard replicas of many collections. */
export interface VectorPool {
  readonly metadata: ObjectMetadata;
  readonly spec: VectorPoolSpec;
  readonly status: Beginning<VectorPoolStatus, 'observedGeneration' | 'replicas' | 'readyReplicas'>;
}

/** Rule G1 says what may be written to its authority, and by whom. */
export interface VectorShard {
  readonly metadata: ObjectMetadata;
  readonly spec: VectorShardSpec;
  readonly status: Beginning<VectorShardStatus, 'phase'>;
}

export type ShardAuthority = NonNullable<VectorShardStatus['authority']>;
export type ShardMember = ShardAuthority['inSync'][number];
/** Rule S1: the primary of `term` is to be followed by `to`, or by whom the operator chooses. */
export type ShardHandover = NonNullable<VectorShardStatus['handover']>;

/** What the store gives an object that is new: Kubernetes takes no status from whoever creates one. */
export const initialStatus = {
  collections: { phase: 'Pending', observedGeneration: 0, shards: [], routing: { epoch: 1, generation: 1 } } satisfies VectorCollection['status'],
  pools: { observedGeneration: 0, replicas: 0, readyReplicas: 0 } satisfies VectorPool['status'],
  shards: { phase: 'Pending' } satisfies VectorShard['status'],
} as const;

/** Deletion was asked for; it goes when its shards have gone. */
export function isDeleting(object: { readonly metadata: ObjectMetadata }): boolean {
  return object.metadata.deletionTimestampMs !== undefined;
}

/** Whether its shards are there and have taken over what it wants. */
export function isUpToDate({ metadata, status }: VectorCollection): boolean {
  return status.phase !== 'Pending' && status.observedGeneration === metadata.generation;
}

/** The shards of a collection have to be removed before its object goes. */
export const collectionFinalizer = 'shoal.dev/shards';
/** The data of a shard has to be removed before its object goes. */
export const shardFinalizer = 'shoal.dev/data';

/** Label of a shard: the name of its collection's object. */
export const collectionLabel = 'shoal.dev/collection';
/** Label of the collection that holds the system's own records; it is not shown to users. */
export const systemLabel = 'shoal.dev/system';
/** Its object's name too: the dot keeps it apart from every name that `collectionObjectName` gives. */
export const systemCollectionName = 'shoal.system';
