/**
 * The objects of group `shoal.dev/v1alpha1` as the code sees them, in one process and on Kubernetes alike: what users
 * want (`spec`) and what is (`status`). Names are those of the CRDs in `crds/`; docs/kubernetes-objects.md explains them.
 */

import type { CollectionSpec } from '../domain/collection.ts';
import type { HashRange } from '../domain/hash-range.ts';

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

/** What people look at; the code decides by the other fields. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
  /** RFC 3339, whole seconds. */
  readonly lastTransitionTime: string;
}

export interface VectorCollection {
  readonly metadata: ObjectMetadata;
  readonly spec: CollectionSpec;
  readonly status: {
    readonly phase: 'Pending' | 'Ready' | 'Degraded';
    /** `metadata.generation` of the spec that all its shards have taken over; 0 before the first. */
    readonly observedGeneration: number;
    /** The UIDs of its shards, recorded before they are bootstrapped (rule B1). */
    readonly shards: readonly string[];
    readonly routing: { readonly epoch: number; readonly generation: number };
    readonly readyShards?: number;
    readonly vectorCount?: number;
    readonly conditions?: readonly Condition[];
  };
}

/** A StatefulSet of data pods that host shard replicas of many collections. */
export interface VectorPool {
  readonly metadata: ObjectMetadata;
  readonly spec: {
    readonly replicas: number;
    readonly storage: { readonly size: string; readonly storageClassName?: string };
    readonly resources?: { readonly requests?: Readonly<Record<string, string>>; readonly limits?: Readonly<Record<string, string>> };
    /** Node labels over whose values pods and replicas are spread, the most important first. */
    readonly topologySpread: readonly string[];
  };
  readonly status: {
    readonly observedGeneration: number;
    readonly replicas: number;
    readonly readyReplicas: number;
    /** Label selector of its pods, as the scale subresource wants it. */
    readonly selector?: string;
    /** A sequence that must not run twice at once; a new leader of the operator goes on with it. */
    readonly operation?: { readonly id: string; readonly pod: string; readonly podUID: string; readonly step: string };
    readonly conditions?: readonly Condition[];
  };
}

export interface ShardMember {
  readonly pod: string;
  readonly incarnation: string;
}

/** Rule G1: what may be written to it, and by whom. */
export interface ShardAuthority {
  readonly term: number;
  readonly primary: { readonly pod: string; readonly podUID: string; readonly incarnation: string; readonly session: string };
  readonly inSync: readonly ShardMember[];
  readonly configVersion: number;
}

/** Rule S1: the primary of `term` is to be followed by `to`, or by whom the operator chooses. Void in any other term. */
export interface ShardHandover {
  /** Random: one request is told from the next. */
  readonly id: string;
  readonly term: number;
  readonly to?: ShardMember;
}

export interface VectorShard {
  readonly metadata: ObjectMetadata;
  readonly spec: {
    readonly collection: { readonly name: string; readonly uid: string };
    readonly generation: number;
    readonly index: number;
    readonly hashRange: HashRange;
    /** Pods that shall hold a replica. */
    readonly replicas: readonly string[];
    /**
     * Those of `replicas` that shall go (rule A2): the primary takes them out of inSync and adds none of them, then they
     * are taken from `replicas`.
     */
    readonly leaving?: readonly string[];
    readonly minInSync: number;
    /** A human's word (rule P1): this incarnation alone may lead in this term, and what only others have is lost. */
    readonly acceptDataLoss?: { readonly incarnation: string; readonly term: number };
  };
  readonly status: {
    readonly phase: 'Pending' | 'Ready' | 'Lost';
    readonly authority?: ShardAuthority;
    /** Written to move the object's version and for nothing else (rule A1). */
    readonly nonce?: string;
    readonly handover?: ShardHandover;
    readonly conditions?: readonly Condition[];
  };
}

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
