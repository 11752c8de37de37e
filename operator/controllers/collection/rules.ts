/** What the operator decides about collections besides the placement and leadership of their shards. Pure. */

import { isDeleting, type VectorCollection } from '../../../pods/metadata/objects.ts';
import { pausedAnnotation } from '../../desired/names.ts';

/** The collection that has the API name, of several that claim it: the older one. Undefined when `collection` has it. */
export function nameHolder(collection: VectorCollection, all: readonly VectorCollection[]): VectorCollection | undefined {
  const claims = all.filter(({ spec, metadata }) => spec.name === collection.spec.name && metadata.uid !== collection.metadata.uid);
  return claims.find((other) => isOlder(other, collection));
}

function isOlder({ metadata: a }: VectorCollection, { metadata: b }: VectorCollection): boolean {
  // Times are whole seconds; the UID settles the rest, the same for everybody.
  return a.creationTimestampMs !== b.creationTimestampMs ? a.creationTimestampMs < b.creationTimestampMs : a.uid < b.uid;
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
  const holder = isDeleting(collection) ? undefined : nameHolder(collection, all);
  // What was there before keeps what it has: an object that is made by hand with an old time cannot take it away.
  if (holder !== undefined && collection.status.shards.length === 0) return `the name ${collection.spec.name} belongs to VectorCollection ${holder.metadata.name}, which is older`;
  return undefined;
}
