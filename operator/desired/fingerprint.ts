/** Tells whether a live object is what is desired, also where a field is desired no longer: what was applied last leaves its hash. */

import { createHash } from 'node:crypto';
import { firstDifference, type KubeObject } from '../runtime/apply.ts';

/** On each object that the operator applies: the hash of what it applied. */
export const appliedAnnotation = 'shoal.dev/applied';

interface Annotated {
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
}

/** The object with the hash of itself. */
export function fingerprinted<T extends KubeObject>(desired: T): T {
  const hash = createHash('sha256').update(JSON.stringify(desired)).digest('hex').slice(0, 16);
  const { annotations } = (desired as Annotated).metadata ?? {};
  return { ...desired, metadata: { ...desired.metadata, annotations: { ...annotations, [appliedAnnotation]: hash } } };
}

/** Why `desired`, fingerprinted, has to be applied, as far as `live` shows; undefined when it need not be. */
export function whyApply(desired: KubeObject, live: Annotated | undefined): string | undefined {
  if (live === undefined) return 'it is missing';
  const inContent = firstDifference({ ...desired, apiVersion: undefined, kind: undefined, metadata: undefined }, live);
  if (inContent !== undefined) return `${inContent} is not as desired`;
  const inMetadata = firstDifference({ metadata: desired.metadata }, live);
  if (inMetadata === undefined) return undefined;
  return inMetadata === `metadata.annotations.${appliedAnnotation}` ? 'what is desired has changed' : `${inMetadata} is not as desired`;
}
