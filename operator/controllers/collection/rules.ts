/** What the operator decides about collections besides the placement and leadership of their shards. Pure. */

import { isDeleting, type VectorCollection } from '../../../pods/metadata/objects.ts';
import { nameHolder } from '../../../pods/metadata/name-holder.ts';
import { pausedAnnotation } from '../../desired/names.ts';

/** The collection that has the API name, where another one has it; undefined when `collection` has it. */
export function otherHolder(collection: VectorCollection, all: readonly VectorCollection[]): VectorCollection | undefined {
  const claims = all.filter(({ spec, metadata }) => spec.name === collection.spec.name && metadata.uid !== collection.metadata.uid);
  const holder = nameHolder([collection, ...claims]);
  return holder.metadata.uid === collection.metadata.uid ? undefined : holder;
}

/** Why it is the other's, in a sentence. */
export function conflictText({ spec }: VectorCollection, holder: VectorCollection): string {
  return `the name ${spec.name} belongs to VectorCollection ${holder.metadata.name}, which is older`;
}

export function isPaused({ metadata }: VectorCollection): boolean {
  return metadata.annotations?.[pausedAnnotation] === 'true';
}

/** It was deleted, and its data is to stay where it is: pods must not be told to remove it. */
export function keepsData(collection: VectorCollection): boolean {
  return isDeleting(collection) && collection.spec.deletionPolicy === 'Retain';
}

/** Why the shards of a collection are left as they are; undefined when they are not. */
export function heldBecause(collection: VectorCollection, all: readonly VectorCollection[]): string | undefined {
  if (isPaused(collection)) return `the annotation ${pausedAnnotation} keeps the operator from changing anything`;
  if (keepsData(collection)) return 'it was deleted, and its data stays';
  const holder = isDeleting(collection) ? undefined : otherHolder(collection, all);
  return holder === undefined ? undefined : conflictText(collection, holder);
}
