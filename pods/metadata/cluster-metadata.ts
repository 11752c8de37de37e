/**
 * The consensus store of a cluster as a port: objects with compare-and-swap and watches. Locally it is a directory
 * (`local-metadata.ts`), in a cluster the Kubernetes API.
 *
 * A write that fails may have happened: only CONFLICT, COLLECTION_EXISTS and COLLECTION_NOT_FOUND say that it did not.
 */

import type { VectorCollection, VectorShard } from './objects.ts';
import type { ObjectMetadata } from './objects.ts';

export interface ObjectStore<T extends { readonly metadata: ObjectMetadata }> {
  /** A linearizable read. */
  get(name: string): Promise<T | undefined>;
  list(): Promise<readonly T[]>;
  /** CONFLICT when the name is taken. The store sets uid, resourceVersion and creation time. */
  create(object: NewObject<T>): Promise<T>;
  /** CONFLICT unless the stored object still has the resourceVersion of `object`. */
  replace(object: T): Promise<T>;
  /** CONFLICT unless the stored object still has this resourceVersion. */
  delete(name: string, resourceVersion: string): Promise<void>;
  /** Calls `onChange` after each change with the object's name; returns the function that ends it. */
  watch(onChange: (name: string) => void): () => void;
}

export type NewObject<T extends { readonly metadata: ObjectMetadata }> = Omit<T, 'metadata'> & {
  readonly metadata: Pick<ObjectMetadata, 'name' | 'labels'>;
};

export interface ClusterMetadata {
  readonly collections: ObjectStore<VectorCollection>;
  readonly shards: ObjectStore<VectorShard>;
}
