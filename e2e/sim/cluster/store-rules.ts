/** What the API server of a cluster guards, for the simulated store: rule G1, and the admission policy for data pods. */

import { isDeepStrictEqual } from 'node:util';
import type { Mutations } from '../../../pods/kernel/mutations.ts';
import { checkAuthorityChange } from '../../../pods/metadata/authority-rules.ts';
import type { VectorShard } from '../../../pods/metadata/objects.ts';
import type { MetadataRules, Writer } from './metadata-store.ts';

export function storeRules(mutations: Mutations): MetadataRules {
  // A guard that holds everywhere would hide what the code does without it.
  const isUnguarded = mutations.has('promote-outside-in-sync') || mutations.has('write-without-version');
  return {
    checkShard: (previous, next) => (isUnguarded || previous === undefined ? undefined : checkAuthorityChange(previous, next)),
    checkWriter: (writer, kind, previous, next) => (isUnguarded || kind !== 'shards' ? undefined : checkPod(writer, previous as VectorShard | undefined, next as VectorShard | undefined)),
    allowUnconditional: mutations.has('write-without-version'),
  };
}

/** A data pod, by the pod and UID of its token, changes only a shard whose primary it is, and never term or primary. */
function checkPod({ name, podUID }: Writer, previous: VectorShard | undefined, next: VectorShard | undefined): string | undefined {
  if (podUID === undefined) return undefined;
  if (previous === undefined || next === undefined) return 'a data pod creates and deletes no shard';
  const [before, after] = [previous.status.authority, next.status.authority];
  if (before?.primary.pod !== name || before.primary.podUID !== podUID) return 'it is not the primary of the shard';
  if (after?.term !== before.term || !isDeepStrictEqual(after.primary, before.primary)) return 'a data pod changes neither term nor primary';
  return undefined;
}
