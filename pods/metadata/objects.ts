/**
 * The objects of group `shoal.dev/v1alpha1` as the code sees them, in one process and on Kubernetes alike: what users
 * want (`spec`) and what is (`status`). Names are those of the CRDs.
 */

import type { CollectionSpec } from '../domain/collection.ts';
import type { HashRange } from '../domain/hash-range.ts';

export interface ObjectMetadata {
  /** Unique among objects of one kind; a legal Kubernetes name. */
  readonly name: string;
  readonly uid: string;
  /** Changes with every write; compare for equality only. */
  readonly resourceVersion: string;
  readonly creationTimestampMs: number;
  /** Set once deletion was asked for; the object goes when its finalizer is done. */
  readonly deletionTimestampMs?: number;
  readonly labels: Readonly<Record<string, string>>;
}

export interface VectorCollection {
  readonly metadata: ObjectMetadata;
  readonly spec: CollectionSpec;
  readonly status: {
    readonly phase: 'Pending' | 'Ready' | 'Degraded' | 'Deleting';
    /** The UIDs of its shards, recorded before they are bootstrapped (rule B1). */
    readonly shards: readonly string[];
    readonly routing: { readonly epoch: number; readonly generation: number };
  };
}

/** Rule G1: what may be written to it, and by whom. */
export interface ShardAuthority {
  readonly term: number;
  readonly primary: { readonly pod: string; readonly podUID: string; readonly incarnation: string; readonly session: string };
  readonly inSync: readonly { readonly pod: string; readonly incarnation: string }[];
  readonly configVersion: number;
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
    readonly minInSync: number;
  };
  readonly status: {
    readonly phase: 'Pending' | 'Ready' | 'Lost';
    readonly authority?: ShardAuthority;
  };
}

/** Label of the collection that holds the system's own records; it is not shown to users. */
export const systemLabel = 'shoal.dev/system';
/** Its object's name too: the dot keeps it apart from every name that `collectionObjectName` gives. */
export const systemCollectionName = 'shoal.system';
