/** The files that a checkpoint consists of, by their names under its directory: what a copy of it has to hold. */

import type { CheckpointPart } from '../index/vector-index.ts';
import type { CheckpointManifest } from './checkpoint.ts';

export const manifestName = 'manifest.json';

/** All but the manifest itself, with `/` between directory and name. */
export function checkpointParts(manifest: CheckpointManifest): readonly CheckpointPart[] {
  const graph = manifest.graph?.parts.map((part) => ({ ...part, name: `graph/${part.name}` })) ?? [];
  const others = [manifest.labels, manifest.ids, manifest.payload].filter((part) => part !== undefined && part !== null);
  return [...others, ...graph];
}
