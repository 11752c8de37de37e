/**
 * The consensus store of a cluster as a port: objects with compare-and-swap and watches. Locally it is a directory
 * (`local-metadata.ts`), in a cluster the Kubernetes API (`kube-metadata.ts`); one conformance suite holds both.
 *
 * What a failed write means (rule W4; nobody sends one again by himself):
 *
 *     CONFLICT            it did not happen: the object has changed, is gone, or the name is taken
 *     INVALID_ARGUMENT    it did not happen: the schema or rule G1 refuses it
 *     PERMISSION_DENIED   it did not happen: this process may not do that (UNAUTHENTICATED: nobody knows who it is)
 *     OVERLOADED          it did not happen: the store takes no more at the moment
 *     STORAGE_READ_ONLY   it did not happen: the disk is full
 *     UNAVAILABLE         it did not happen: it was never sent, or turned away unread
 *     OUTCOME_UNKNOWN     it may have happened, or may still happen; only a later version of the object tells
 *
 * A read that fails is UNAVAILABLE, or one of the middle three.
 */

import type { ObjectMetadata, VectorCollection, VectorPool, VectorShard } from './objects.ts';

export interface StoredObject {
  readonly metadata: ObjectMetadata;
  readonly spec: unknown;
  readonly status: unknown;
}

export interface ObjectStore<T extends StoredObject> {
  /** A linearizable read. */
  get(name: string): Promise<T | undefined>;
  /** A linearizable read of all. */
  list(): Promise<readonly T[]>;
  /**
   * What the watch saw last, at no cost: it may be old, also older than what `get` has answered. Nothing before `watch`
   * was called. It may be searched, never decided upon.
   */
  peek(name: string): T | undefined;
  /** Whether what `peek` knows is being kept up: the watch has all and hears from the store. */
  isFresh(): boolean;
  /** CONFLICT when the name is taken. The store gives it identity, version and the initial status. */
  create(object: NewObject<T>): Promise<T>;
  /**
   * Writes spec, labels, annotations, finalizers and owners; the status stays as it is stored. CONFLICT unless the stored object still has the
   * resourceVersion of `object`. An object that is being deleted goes with its last finalizer.
   */
  replace(object: T): Promise<T>;
  /** Writes the status; all else stays as it is stored. CONFLICT as above. */
  replaceStatus(object: T): Promise<T>;
  /** CONFLICT unless the stored object still has this resourceVersion. With finalizers it is only marked as being deleted. */
  delete(name: string, resourceVersion: string): Promise<void>;
  /**
   * Calls `onChange` with the object's name after each change, and now and then where nothing changed; several changes may
   * be told at once. Returns the function that ends it.
   */
  watch(onChange: (name: string) => void): () => void;
}

export type NewObject<T extends StoredObject> = Omit<T, 'metadata' | 'status'> & {
  readonly metadata: Pick<ObjectMetadata, 'name' | 'labels' | 'annotations' | 'ownerReferences'> & Partial<Pick<ObjectMetadata, 'finalizers'>>;
};

export interface ClusterMetadata {
  readonly collections: ObjectStore<VectorCollection>;
  readonly pools: ObjectStore<VectorPool>;
  readonly shards: ObjectStore<VectorShard>;
}
